/*
 * The stream engine, the code cell and tRPC, asked by the clients people have: fetch, ws, @trpc/client. What tRPC answers is
 * held against @trpc/server itself.
 *
 * environment: URL of the daemon; KEY of its admin
 * prints a line a check, "ok TITLE" or "not ok TITLE", and "# ..." for people
 */
'use strict';
const { isDeepStrictEqual, inspect } = require('util');
const { createTRPCClient, httpLink, httpBatchLink } = require('@trpc/client');
const { initTRPC } = require('@trpc/server');
const { fetchRequestHandler } = require('@trpc/server/adapters/fetch');
const WebSocket = require('ws');

const url = process.env.URL, admin = process.env.KEY, wsUrl = url.replace(/^http/, 'ws');
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function check(good, title, got) {
	console.log(`${good ? 'ok' : 'not ok'} ${title}`);
	if (!good)
		console.log(inspect(got, { depth: 6, maxStringLength: 500, maxArrayLength: 20 }).replace(/^/gm, '# '));
}
const is = (got, wanted, title) => check(isDeepStrictEqual(got, wanted), title, { got, wanted });

async function post(path, body, headers = { authorization: `Bearer ${admin}` }) {
	const text = typeof body === 'string' ? body : JSON.stringify(body);
	const r = await fetch(url + path, { method: 'POST', body: text,
					    headers: { 'content-type': 'application/json', ...headers } });
	return { status: r.status, headers: r.headers, body: await r.json() };
}

async function get(path) {
	const r = await fetch(url + path, { headers: { authorization: `Bearer ${admin}` } });
	return r.json();
}

/* All messages of a stream, with the time of each, and how it was closed; status instead when it was not opened. */
function watch(path, headers = { authorization: `Bearer ${admin}` }, pauseMs = 0) {
	return new Promise((done, fail) => {
		const ws = new WebSocket(wsUrl + path, { headers }), messages = [], at = [];
		const timer = setTimeout(() => { ws.terminate(); fail(new Error(`no end of ${path}: ${inspect(messages)}`)); }, 60000);

		ws.on('open', () => {
			ws.send('this is not listened to');
			if (pauseMs) {
				ws.pause();
				setTimeout(() => ws.resume(), pauseMs);
			}
		});
		ws.on('message', (data, isBinary) => { messages.push(isBinary ? data : JSON.parse(data)); at.push(Date.now()); });
		ws.on('unexpected-response', (rq, r) => { clearTimeout(timer); rq.destroy(); done({ status: r.statusCode }); });
		ws.on('error', () => {});
		ws.on('close', (code) => { clearTimeout(timer); done({ messages, at, code }); });
	});
}

const logOf = (w) => w.messages.filter((m) => m.type === 'log').map((m) => m.output).join('');
const textOf = (w, type) => w.messages.filter((m) => m.type === type).map((m) => m.data).join('');
const lastOf = (w) => w.messages[w.messages.length - 1];

async function makeKey(owner, more = {}) {
	const r = await post('/v1/keys', { owner, scopes: ['run'], ...more });
	return { authorization: `Bearer ${r.body.key}` };
}

/* ---- the stream engine ---- */

async function streamEngine() {
	const run = await post('/api/run', { language: 'python', code: 'import time\nprint("one", flush=True)\ntime.sleep(1.5)\nprint("two")' });
	is([run.status, Object.keys(run.body), run.body.status], [202, ['job_id', 'status'], 'queued'], 'stream engine: a job is queued');
	const id = run.body.job_id, early = watch(`/api/ws?job_id=${id}`);
	await sleep(700);
	const [a, b] = await Promise.all([early, watch(`/api/ws?job_id=${id}`)]), c = await watch(`/api/ws?job_id=${id}`);
	is(a.messages, [
		{ job_id: id, output: '', type: 'status', status: 'running' },
		{ job_id: id, output: 'one\n', type: 'log' },
		{ job_id: id, output: 'two\n', type: 'log' },
		{ job_id: id, output: '', type: 'status', status: 'completed' },
	], 'stream engine: running, its output, completed');
	check(a.at[2] - a.at[1] > 700, 'stream engine: output comes as it is written', a.at);
	is([a.code, b.code, c.code], [1000, 1000, 1000], 'stream engine: then the socket is closed with 1000');
	is(b.messages, a.messages, 'stream engine: who joins late gets everything');
	is(c.messages, a.messages, 'stream engine: who comes afterwards as well');

	for (const [language, code, wanted] of [['javascript', 'console.log("js")', 'js\n'], ['python', 'import sys; print("o", flush=True); sys.stderr.write("e")', 'o\ne'],
						['js', 'console.log(1)', '1\n'], ['py', 'print("ä🎈")', 'ä🎈\n']]) {
		const r = await post('/api/run', { language, code, somethingElse: 1 });
		is(logOf(await watch(`/api/ws?job_id=${r.body.job_id}`)), wanted, `stream engine: ${language}`);
	}
	const bad = await post('/api/run', { language: 'python', code: 'import sys; sys.exit(3)' });
	const end = lastOf(await watch(`/api/ws?job_id=${bad.body.job_id}`));
	check(end.type === 'status' && end.status === 'failed' && /3/.test(end.output), 'stream engine: a status other than 0 is a failure', end);

	const native = await get(`/v1/jobs/${bad.body.job_id}`);
	is([native.state, native.status, native.exit_code], ['done', 'runtime_error', 3], 'the same job is there for the native API');
}

async function streamEngineRefusals() {
	for (const [title, body, field] of [
		['no JSON', 'nonsense', undefined], ['a list', [], undefined], ['an empty body', '', undefined],
		['brackets', '['.repeat(100000), undefined], ['a hundred thousand values', `{"a":[${'0,'.repeat(100000)}0]}`, undefined],
		['no language', { code: '' }, 'language'], ['no code', { language: 'python' }, 'code'],
		['code that is no text', { language: 'python', code: 1 }, 'code'],
		['an unknown language', { language: 'cobol', code: '' }, 'language'],
		['a text with NUL', '{"language":"python","code":"\\u0000"}', undefined],
	]) {
		const r = await post('/api/run', body);
		is([r.status, r.body.error?.field], [400, field], `stream engine: ${title} is refused`);
	}
	const cobol = await post('/api/run', { language: 'cobol', code: '' });
	check(/^language: there is no 'cobol'; there are .*python/.test(cobol.body.error.message), 'stream engine: with the languages there are', cobol.body);
	is((await watch('/api/ws')).status, 400, 'stream engine: a socket for no job');
	is((await watch('/api/ws?job_id=jnone')).status, 404, 'stream engine: a socket for a job that is none');
	is((await watch(`/api/ws?job_id=${'x'.repeat(300)}`)).status, 404, 'stream engine: or cannot be one');
	is((await fetch(`${url}/api/ws?job_id=jnone`, { headers: { authorization: `Bearer ${admin}` } })).status, 404, 'stream engine: nor over HTTP');
}

/* ---- the code cell ---- */

async function codeCell() {
	const name = 'cell-1.a_B', program = { jobId: name, language: 'py', source: 'import sys\nprint("out", flush=True)\nsys.stderr.write("err")\nsys.exit(4)' };
	const run = await post('/run', program);
	is([run.status, run.body], [200, { jobId: name }], 'code cell: a client names its job');
	const a = await watch(`/stream/${name}`), b = await watch(`/stream?jobId=${name}`);
	is([textOf(a, 'stdout'), textOf(a, 'stderr'), lastOf(a), a.code], ['out\n', 'err', { type: 'exit', data: 4 }, 1000], 'code cell: two streams and a status, then 1000');
	is(b.messages, a.messages, 'code cell: both paths, and late');
	is((await post('/run', program)).body, { jobId: name }, 'code cell: the same request again is the same job');
	is((await post('/run', { ...program, source: 'print(1)' })).status, 409, 'code cell: another program of that name is refused');
	const cecil = await makeKey('cecil');
	const foreign = await post('/run', { ...program, source: 'print("mine")' }, cecil);
	is([foreign.status, foreign.body], [200, { jobId: name }], 'code cell: a name is its owner\'s own: somebody else may have it too');
	const theirs = await watch(`/stream/${name}`, cecil);
	is(textOf(theirs, 'stdout'), 'mine\n', 'code cell: and each finds their own');

	for (const [language, source, wanted] of [['js', 'console.log("js")', 'js\n'], ['py', 'print("x" * 3)', 'xxx\n'], ['python', 'print(1)', '1\n']]) {
		const r = await post('/run', { jobId: null, language, source });
		const w = await watch(`/stream/${r.body.jobId}`);
		is([textOf(w, 'stdout'), lastOf(w)], [wanted, { type: 'exit', data: 0 }], `code cell: ${language}`);
	}
	const long = await post('/run', { language: 'py', source: `#${'x'.repeat(31990)}\nprint(1)` });
	is(textOf(await watch(`/stream/${long.body.jobId}`), 'stdout'), '1\n', 'code cell: a source of 32,000 characters');
	const signal = await post('/run', { language: 'py', source: 'import os; os.kill(os.getpid(), 11)' });
	is(lastOf(await watch(`/stream/${signal.body.jobId}`)), { type: 'exit', data: 139 }, 'code cell: a signal as shells have it');
	const bytes = await post('/run', { language: 'py', source: 'import sys, time\nfor b in "🎈ä".encode() + b"\\xff":\n  sys.stdout.buffer.write(bytes([b])); sys.stdout.flush(); time.sleep(0.05)' });
	is(textOf(await watch(`/stream/${bytes.body.jobId}`), 'stdout'), '🎈ä\ufffd', 'code cell: characters that come in pieces stay whole');
	const much = await post('/run', { language: 'py', source: 'for i in range(60000): print(i)' });
	const all = await watch(`/stream/${much.body.jobId}`);
	check(textOf(all, 'stdout').split('\n').length === 60001 && lastOf(all).data === 0, 'code cell: nothing of much output is missing', all.messages.length);
	const control = await post('/run', { language: 'py', source: 'import sys\nfor i in range(1000): sys.stdout.write("\\x01" * 1000); sys.stdout.flush()' });
	const slow = await watch(`/stream/${control.body.jobId}`, { authorization: `Bearer ${admin}` }, 2000);
	is([textOf(slow, 'stdout').length, lastOf(slow), slow.code], [1000000, { type: 'exit', data: 0 }, 1000], 'code cell: nor when it is read late');
}

async function codeCellRefusals() {
	const py = { language: 'py', source: 'print(1)' };
	for (const [title, body, field] of [
		['no JSON', '{', undefined], ['a text', '"x"', undefined], ['no source', { language: 'py' }, 'source'],
		['no language', { source: '' }, 'language'], ['a language that is a list', { ...py, language: [] }, 'language'],
		['an unknown language', { ...py, language: 'cs' }, 'language'],
		['32,001 characters', { ...py, source: '#'.repeat(32001) }, 'source'],
		['16,001 balloons', { ...py, source: '🎈'.repeat(16001) }, 'source'],
		['a name with a slash', { ...py, jobId: '../x' }, 'jobId'], ['an empty name', { ...py, jobId: '' }, 'jobId'],
		['a name of 65 characters', { ...py, jobId: 'x'.repeat(65) }, 'jobId'], ['a name that is a number', { ...py, jobId: 7 }, 'jobId'],
		['a name of ours', { ...py, jobId: `j${'0'.repeat(32)}` }, 'jobId'],
	]) {
		const r = await post('/run', body);
		is([r.status, r.body.error?.field], [400, field], `code cell: ${title} is refused`);
		check(/^[^ ].{10,}/.test(r.body.error?.message ?? ''), `code cell: ${title}, with a sentence`, r.body);
	}
	is((await watch('/stream')).status, 400, 'code cell: a stream of no job');
	is((await watch('/stream/none')).status, 404, 'code cell: a stream of a job that is none');
	is((await watch('/stream/a%20b')).status, 404, 'code cell: or cannot be one');
}

/* ---- who may ---- */

async function rights() {
	const ann = await makeKey('ann'), bob = await makeKey('bob'), cubes = await makeKey('cub', { scopes: ['cubes'] });
	const program = { language: 'python', code: 'import time; time.sleep(1); print("of ann")' };
	const job = (await post('/api/run', program, ann)).body.job_id;

	is((await watch(`/api/ws?job_id=${job}`, bob)).status, 404, 'a job of somebody else is not there, while it runs');
	is((await watch(`/stream/${job}`, bob)).status, 404, 'at no door');
	is((await watch(`/api/ws?job_id=${job}`, {})).status, 401, 'without a key there is no stream');
	is((await watch(`/stream/${job}?key=${ann.authorization.slice(7)}`, {})).status, 401, 'and a key does not belong into an address');
	is(logOf(await watch(`/api/ws?job_id=${job}`, { 'x-api-key': ann.authorization.slice(7) })), 'of ann\n', 'its owner sees it, by X-API-Key as well');
	is((await watch(`/stream/${job}`, bob)).status, 404, 'nor is it there afterwards');
	for (const path of ['/api/run', '/run', '/trpc/runCode', '/trpc/runCode?batch=1']) {
		is((await post(path, program, {})).status, 401, `${path}: without a key`);
		is((await post(path, program, { authorization: 'Bearer cubit_no' })).status, 401, `${path}: with a wrong one`);
		is((await post(path, program, cubes)).status, 403, `${path}: with one for other things`);
	}
	is((await post('/api/run', program, ann)).headers.has('ratelimit-limit'), true, 'requests are counted');

	const one = await makeKey('one', { quota: { jobs: 1 } });
	const first = await post('/run', { language: 'py', source: 'import time; time.sleep(1.5)' }, one);
	const second = await post('/api/run', program, one), third = await post('/trpc/runCode', { language: 'py', source: '' }, one);
	is([second.status, second.body.error.code, second.headers.has('retry-after')], [429, 'quota_exceeded', true], 'the quota of an owner counts here too');
	is([third.status, third.body.error.code, third.body.error.data, third.headers.has('retry-after')],
	   [429, -32029, { code: 'TOO_MANY_REQUESTS', httpStatus: 429, path: 'runCode' }, true], 'and tRPC says so in its words');
	await watch(`/stream/${first.body.jobId}`, one);
	await sleep(300);
	is((await post('/api/run', program, one)).status, 202, 'until the job is over');

	const login = await fetch(new URL((await post('/v1/login', {}, ann)).body.url, url), { redirect: 'manual' });
	const cookie = login.headers.get('set-cookie').split(';')[0];
	is(logOf(await watch(`/api/ws?job_id=${job}`, { cookie, origin: url })), 'of ann\n', 'a browser comes with its session');
	is((await watch(`/api/ws?job_id=${job}`, { cookie, origin: 'https://evil.example' })).status, 403, 'but not from a page of somebody else');
	is((await post('/api/run', program, { cookie, origin: 'https://evil.example' })).status, 403, 'which starts nothing either');
}

/* ---- tRPC ---- */

function client(link, calls = [], headers = async () => ({ authorization: `Bearer ${admin}` })) {
	const spy = async (...args) => { const r = await fetch(...args); calls.push([String(args[0]), r.status]); return r; };

	return createTRPCClient({ links: [link({ url: `${url}/trpc`, headers, fetch: spy })] });
}

const failure = (promise) => promise.then((value) => ({ value }), (e) => ({ name: e.name, message: e.message, data: e.data, shape: e.shape, http: e.meta?.response?.status }));

async function trpc() {
	for (const [name, link] of Object.entries({ httpLink, httpBatchLink })) {
		const calls = [], c = client(link, calls);
		const r = await c.runCode.mutate({ language: 'py', source: 'print("via trpc")' });
		is(Object.keys(r), ['jobId'], `${name}: runCode gives a job`);
		const w = await watch(`/stream?jobId=${r.jobId}`);
		is([textOf(w, 'stdout'), lastOf(w)], ['via trpc\n', { type: 'exit', data: 0 }], `${name}: whose stream is there`);
		const bad = await failure(c.runCode.mutate({ language: 'cs', source: '' }));
		is([bad.name, bad.data, bad.shape?.code], ['TRPCClientError', { code: 'BAD_REQUEST', httpStatus: 400, path: 'runCode' }, -32600], `${name}: an unknown language`);
		check(/^language: there is no 'cs'/.test(bad.message), `${name}: in words`, bad);
		is((await failure(c.runCode.mutate({ language: 'py', source: '#'.repeat(32001) }))).data?.code, 'BAD_REQUEST', `${name}: a source that is too long`);
		const none = await failure(c.something.else.mutate());
		is([none.message, none.data], ['No procedure found on path "something.else"', { code: 'NOT_FOUND', httpStatus: 404, path: 'something.else' }], `${name}: an unknown procedure`);
		is((await failure(c.runCode.query({}))).data, { code: 'METHOD_NOT_SUPPORTED', httpStatus: 405, path: 'runCode' }, `${name}: runCode is no query`);
		is((await failure(client(link, [], () => ({})).runCode.mutate({ language: 'py', source: '' }))).http, 401, `${name}: without a key`);
	}

	const calls = [], c = client(httpBatchLink, calls);
	const mixed = await Promise.allSettled([
		c.runCode.mutate({ language: 'py', source: 'print(1)' }), c.runCode.mutate({ language: 'nope', source: '' }),
		c.nothing.mutate(), c.runCode.mutate({ language: 'js', source: 'console.log(2)' }),
	]);
	is(mixed.map((r) => r.status), ['fulfilled', 'rejected', 'rejected', 'fulfilled'], 'httpBatchLink: each call of a batch has its own answer');
	is(calls.map((call) => call[1]), [207], 'httpBatchLink: and the whole is 207');
	is(textOf(await watch(`/stream/${mixed[3].value.jobId}`), 'stdout'), '2\n', 'httpBatchLink: in the order of the calls');

	calls.length = 0;
	const fifty = await Promise.all(Array.from({ length: 50 }, (_, i) => c.runCode.mutate({ language: 'py', source: `print(${i})` })));
	is(calls.map((call) => call[1]), [200], 'httpBatchLink: fifty calls are one request');
	const outputs = await Promise.all(fifty.map((r) => watch(`/stream/${r.jobId}`)));
	is(outputs.map((w) => textOf(w, 'stdout')), fifty.map((_, i) => `${i}\n`), 'httpBatchLink: each call gets the output of its own program');
	const many = await Promise.all(Array.from({ length: 101 }, () => failure(c.runCode.mutate({ language: 'py', source: '' }))));
	check(many.every((r) => r.message === 'Batch call exceeds maximum size'), 'httpBatchLink: more than a hundred are refused', many[0]);
}

/* The same requests to tRPC's own server, with a procedure like ours. */
async function sameAsTheirs() {
	const t = initTRPC.create({ isDev: false });
	const input = (v) => {
		if (!['py', 'js'].includes(v?.language) || typeof v?.source !== 'string' || v.source.length > 32000)
			throw new Error('not an input');
		return v;
	};
	const router = t.router({ runCode: t.procedure.input(input).mutation(() => ({ jobId: 'ID' })) });
	/* ids differ, and so do words about inputs */
	const plain = (v) => JSON.parse(JSON.stringify(v), (k, x) => k === 'jobId' ? 'ID' : x?.data?.code === 'BAD_REQUEST' ? { ...x, message: 'WORDS' } : x);
	const good = { language: 'py', source: '' }, bad = { language: 'nope', source: '' };

	for (const [method, path, body] of [
		['POST', 'runCode', good], ['POST', 'runCode', bad], ['POST', 'runCode', { ...good, more: 1 }], ['POST', 'runCode', 'nonsense'], ['POST', 'runCode', ''],
		['POST', 'runCode', null], ['POST', 'runCode', [good]], ['POST', 'runCode', { language: 'py' }], ['POST', 'nothing', good], ['POST', 'a.b', good],
		['POST', 'runCode?batch=1', { 0: good }], ['POST', 'runCode?batch=1', { 0: bad }], ['POST', 'runCode?batch=1', {}], ['POST', 'runCode?batch=1', []],
		['POST', 'runCode?batch=1', 'nonsense'], ['POST', 'runCode?batch=1', ''], ['POST', 'runCode?batch=0', good],
		['POST', 'runCode,runCode?batch=1', { 0: good, 1: good }], ['POST', 'runCode,runCode?batch=1', { 0: good, 1: bad }],
		['POST', 'runCode,runCode?batch=1', { 0: bad, 1: bad }], ['POST', 'runCode,runCode?batch=1', { 1: good }],
		['POST', 'runCode,nothing?batch=1', { 0: good, 1: good }], ['POST', 'nothing,runCode?batch=1', { 0: good, 1: bad }],
		['POST', 'runCode%2CrunCode?batch=1', { 0: good, 1: good }], ['POST', 'runCode,?batch=1', { 0: good }], ['POST', 'runCode,runCode', good],
		['GET', 'runCode'], ['GET', 'nothing'], ['GET', 'runCode,nothing?batch=1&input=%7B%7D'], ['GET', 'nothing?batch=1'],
	]) {
		const init = { method, headers: { 'content-type': 'application/json', authorization: `Bearer ${admin}` } };
		if (method === 'POST')
			init.body = typeof body === 'string' ? body : JSON.stringify(body);
		const theirs = await fetchRequestHandler({ endpoint: '/trpc', router, req: new Request(`http://x/trpc/${path}`, init), createContext: () => ({}) });
		const ours = await fetch(`${url}/trpc/${path}`, init);
		is([ours.status, plain(await ours.json())], [theirs.status, plain(await theirs.json())], `tRPC: ${method} ${path} ${JSON.stringify(body) ?? ''} is answered as @trpc/server does`);
	}
}

/* ---- limits of the node, and many at once ---- */

async function limits() {
	const run = async (source) => {
		const { jobId } = (await post('/run', { language: 'py', source })).body, w = await watch(`/stream/${jobId}`);
		return { w, job: await get(`/v1/jobs/${jobId}`) };
	};
	const slow = await run('import time; time.sleep(60)');
	check(/\[time_limit\]/.test(textOf(slow.w, 'stderr')) && lastOf(slow.w).data === 137, 'RUN_TIMEOUT_MS ends a program, and it is told', slow.w.messages);
	check(slow.job.wall_ms >= 2900 && slow.job.wall_ms < 6000, 'RUN_TIMEOUT_MS: as late as it says', slow.job);
	const greedy = await run('a = []\nwhile True: a.append(bytearray(b"x") * (1 << 20))');
	check(/\[memory_limit\]/.test(textOf(greedy.w, 'stderr')) && lastOf(greedy.w).data !== 0, 'MAX_MEM_MB bounds it', greedy.w.messages);
	check(greedy.job.memory_peak <= 64 << 20, 'MAX_MEM_MB: to what it says', greedy.job);
	const busy = await run('import os, time\nfor _ in range(3):\n  if os.fork() == 0: break\nend = time.monotonic() + 1.5\nwhile time.monotonic() < end: pass');
	check(busy.job.status === 'ok' && busy.job.cpu_ms < 0.8 * busy.job.wall_ms, 'MAX_VCPUS bounds several processes together', busy.job);
}

async function manyAtOnce() {
	const results = await Promise.all(Array.from({ length: 50 }, async (_, i) => {
		if (i % 2) {
			const r = await post('/api/run', { language: 'python', code: `print("n", ${i})` });
			return logOf(await watch(`/api/ws?job_id=${r.body.job_id}`));
		}
		const r = await post('/run', { jobId: `many-${i}`, language: 'py', source: `print("n", ${i})` });
		return textOf(await watch(`/stream/${r.body.jobId}`), 'stdout');
	}));
	is(results, results.map((_, i) => `n ${i}\n`), 'fifty programs at once, of two doors');
	const same = await Promise.all(Array.from({ length: 20 }, () => post('/run', { jobId: 'same', language: 'py', source: 'print("once")' })));
	check(same.every((r) => r.status === 200 && r.body.jobId === 'same'), 'twenty requests for the same job are one job', same.map((r) => r.body));

	const batch = JSON.stringify(Object.fromEntries(Array.from({ length: 20 }, (_, i) => [i, { language: 'py', source: '' }])));
	await Promise.all(Array.from({ length: 30 }, async (_, i) => {
		const leave = new AbortController(), path = i % 2 ? '/run' : `/trpc/${Array(20).fill('runCode').join(',')}?batch=1`;
		setTimeout(() => leave.abort(), 1 + i / 3);
		await fetch(url + path, { method: 'POST', signal: leave.signal, headers: { authorization: `Bearer ${admin}` },
					  body: i % 2 ? '{"language":"py","source":""}' : batch }).catch(() => {});
	}));
	is((await fetch(`${url}/readyz`)).status, 200, 'clients that leave before they have an answer disturb nobody');
	const paths = (await get('/openapi.json')).paths;
	const missing = ['/api/run', '/api/ws', '/run', '/stream', '/stream/{jobId}', '/trpc/{procedures}'].filter((p) => !paths[p]);
	is(missing, [], '/openapi.json names these doors');
}

(async () => {
	for (const part of [streamEngine, streamEngineRefusals, codeCell, codeCellRefusals, rights, trpc, sameAsTheirs, limits, manyAtOnce]) {
		try {
			await part();
		} catch (e) {
			check(false, `${part.name} comes to its end`, e);
		}
	}
	process.exit(0);
})();
