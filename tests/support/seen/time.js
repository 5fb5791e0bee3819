// Times that count from the start of the program.
'use strict';
const { performance, PerformanceObserver } = require('perf_hooks');
console.log(performance === globalThis.performance, performance.now() < 2000, performance.now() > 1, process.uptime() < 2, process.uptime() > 0.001);
console.log(Math.abs(performance.timeOrigin + performance.now() - Date.now()) < 100);
console.log(Math.abs(performance.toJSON().timeOrigin - performance.timeOrigin) < 1, Math.abs(process.uptime() * 1000 - performance.now()) < 100);
const a = performance.mark('a'), at = performance.now();
console.log(a.startTime > 0 && a.startTime <= at, a.detail, performance.mark('d', { detail: 5 }).detail, performance.mark('s', { startTime: 3 }).startTime);
for (let i = 0; performance.now() < at + 20; i++);
const inside = (m) => console.log(m.name, m.startTime >= 0, m.startTime + m.duration <= performance.now() + 1, m.duration < 2000);
inside(performance.measure('all'));
inside(performance.measure('from', 'a'));
inside(performance.measure('options', { start: 'a' }));
inside(performance.measure('number', { start: at }));
inside(performance.measure('both', 'a', 'd'));
console.log(performance.measure('from2', 'a').duration >= 20, performance.measure('x', { start: 1, duration: 4 }).duration);
for (const f of [() => performance.mark(), () => performance.measure(), () => performance.measure('m', 'not there'), () => performance.measure('m', { start: -1 })]) {
	try {
		f();
		console.log('no error');
	} catch (e) {
		console.log(e.name, e.code);
	}
}
console.log(performance.getEntriesByName('a').length, performance.getEntriesByType('measure').length);
console.log(typeof performance.now, performance.now.name, process.uptime.name, performance.mark.length);
console.log(typeof process.hrtime.bigint(), process.cpuUsage().user > 0);
new PerformanceObserver(() => {}).observe({ entryTypes: ['mark'] });
setTimeout(() => console.log(performance.now() > at + 25), 10);
