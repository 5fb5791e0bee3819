// A client as somebody writes it on types made from /openapi.json: it has to compile with --strict, and it runs.
import createClient from "openapi-fetch";
import type { components, paths } from "./api";

declare const process: { env: Record<string, string> }; // of node, whose types are another package

type Verdict = components["schemas"]["Verdict"];

const client = createClient<paths>({ baseUrl: process.env.URL, headers: { "X-API-Key": process.env.KEY } });

async function run(source: string): Promise<string> {
	const { data, error } = await client.POST("/v1/run", {
		body: { runtime: "bash", source, limits: { wall_ms: 5000, memory: "64M" }, outputs: ["*.txt"] },
	});
	if (error) throw new Error(`${error.error.code}: ${error.error.message}`);
	const verdict: Verdict = data.status;
	const files: string[] = data.outputs.map((file) => `${file.path} ${file.size}`);
	return `${verdict} ${data.stdout}${files.join()} ${data.compile === null} ${typeof data.cpu_ms}`;
}

async function queue(source: string): Promise<string> {
	const { data, error } = await client.POST("/v1/jobs", { body: { runtime: "bash", source, priority: 1 } });
	if (error) throw new Error(error.error.message);
	for (let i = 0; i < 200; i++) {
		const { data: now } = await client.GET("/v1/jobs/{id}", { params: { path: { id: data.id } } });
		if (now && "stdout" in now) return `${now.state} ${now.stdout}`;
		await new Promise((done) => setTimeout(done, 50));
	}
	return "no end";
}

async function refused(): Promise<string> {
	const { error } = await client.POST("/v1/run", { body: { runtime: "cobol" } });
	return error ? `${error.error.code} ${error.error.field}` : "accepted";
}

async function lists(): Promise<string> {
	const jobs = await client.GET("/v1/jobs", { params: { query: { limit: 5 } } });
	const languages = await client.GET("/v1/runtimes");
	return `${jobs.data?.jobs[0]?.state} ${languages.data?.runtimes.some((one) => one.name === "bash")}`;
}

async function main(): Promise<void> {
	console.log(await run("echo hi >a.txt; echo there"));
	console.log(await queue("echo queued"));
	console.log(await refused());
	console.log(await lists());
}

void main();
