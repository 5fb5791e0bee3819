// What a program finds: process, globals, modules, handles.
'use strict';
const text = (v) => (v === null || ['string', 'number', 'boolean', 'undefined'].includes(typeof v) ? String(v) :
	typeof v === 'function' ? `${v.name}/${v.length} ${Function.prototype.toString.call(v).includes('[native code]') ? 'native' : ''}` :
	Array.isArray(v) ? `[${v.length}]` : Object.keys(v).length);
const varies = new Set(['pid', 'ppid', 'uptime', 'moduleLoadList', 'debugPort']);
const walk = (name, o) => {
	for (const key of Reflect.ownKeys(o).map(String).sort()) {
		if (varies.has(key))
			continue;
		const d = Object.getOwnPropertyDescriptor(o, key);
		console.log(name, key, d && [d.enumerable, d.configurable, d.writable, Boolean(d.get)].join(), d && 'value' in d ? text(d.value) : '');
	}
};
walk('process', process);
walk('proto', Object.getPrototypeOf(process));
walk('global', globalThis);
walk('module', module);
walk('require', require);
walk('Module', require('module'));
console.log(process._getActiveHandles().length, process._getActiveRequests().length, process.getActiveResourcesInfo?.());
console.log(require.cache, Object.keys(require('module')._pathCache), module.children, require.extensions);
console.log(process.memoryUsage.rss() > 0, Error.stackTraceLimit, process.listenerCount('warning'), process.eventNames());
console.log(require('fs').readdirSync('/proc/self/fd').length > 3);
for (const name of require('module').builtinModules.filter((n) => !/^_|^constants$|inspector|wasi|trace_events|^sys$|punycode/.test(n)).sort())
	console.log(name, Object.keys(require(name)).length);
console.log(require.cache, process.stdin.readableFlowing, process.stdin.readableLength);
