// A queue: node queue.mjs LANGUAGE PROGRAM...
// Pushes each program as a job, prints output as it comes, and what became of each. Node 18 or later.
import { run } from "./page/run.mjs";

const url = process.env.CUBIT_URL ?? "http://127.0.0.1:7070";
const [runtime, ...programs] = process.argv.slice(2);

const jobs = programs.map((source, i) =>
  run(url, process.env.CUBIT_KEY, { runtime, source }, (text) => process.stdout.write(text)).then((end) => [i + 1, end.status]),
);
for (const [number, status] of await Promise.all(jobs)) console.log(`program ${number}: ${status}`);
