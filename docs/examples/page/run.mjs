// Runs a program and hands over its output as it comes. In pages, and in Node 18 or later.
//
//   await run("http://127.0.0.1:7070", key, { runtime: "python", source: "print(6 * 7)" }, (text, stream) => ...)
//
// answers with the last event: { status, reason, exit_code, ... }. A connection that breaks is made again, behind the last
// event that came.

async function call(url, key, options = {}) {
  const answer = await fetch(url, { ...options, headers: { ...options.headers, Authorization: `Bearer ${key}` } });
  if (!answer.ok) throw new Error((await answer.json()).error.message);
  return answer;
}

// One object for each line that comes.
async function* lines(body) {
  const decoder = new TextDecoder();
  let text = "";
  for (const reader = body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    for (let end; (end = text.indexOf("\n")) >= 0; text = text.slice(end + 1)) yield JSON.parse(text.slice(0, end));
  }
}

const bytes = (event) =>
  event.encoding === "base64" ? Uint8Array.from(atob(event.data), (c) => c.charCodeAt(0)) : new TextEncoder().encode(event.data);

export async function run(url, key, job, show) {
  const made = await call(`${url}/v1/jobs`, key, { method: "POST", body: JSON.stringify(job) });
  const { id } = await made.json();
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  for (let next = 1, tries = 0; tries < 20; tries++) {
    try {
      const events = await call(`${url}/v1/jobs/${id}/events?from=${next}`, key, { headers: { Accept: "application/x-ndjson" } });
      for await (const event of lines(events.body)) {
        next = event.n + 1;
        if (event.type in decoders) show(decoders[event.type].decode(bytes(event), { stream: true }), event.type);
        if (event.type === "exit") return event;
      }
    } catch (e) {
      if (!(e instanceof TypeError)) throw e; // fetch throws this one when the connection is lost
    }
    await new Promise((done) => setTimeout(done, 500));
  }
  throw new Error("the connection was lost too often");
}
