// Prints, as a JSON list, whether InfluxData's own checker of Flux (grammar, types, built-in functions) accepts each query
// of the JSON list in its argument. The package is made for bundlers, so its two halves are put together here.
const { readFileSync } = require('node:fs');
const { createRequire } = require('node:module');

const [modules, queries] = process.argv.slice(2);
const glue = createRequire(modules + '/').resolve('@influxdata/flux-lsp-browser/flux-lsp-browser_bg.js');
const wasm = new WebAssembly.Module(readFileSync(glue.replace(/js$/, 'wasm')));
let flux;
const imports = {};
for (const { module, name } of WebAssembly.Module.imports(wasm)) {
  (imports[module] ??= {})[name] = (...given) => flux[name](...given);
}
globalThis.checker = new WebAssembly.Instance(wasm, imports).exports;
const source = readFileSync(glue, 'utf8').replace(/^import .*$/m, 'const wasm = globalThis.checker;');
import(`data:text/javascript,${encodeURIComponent(source)}`).then((loaded) => {
  flux = loaded;
  console.log(JSON.stringify(JSON.parse(queries).map((text) => new flux.Flux(text).is_valid())));
});
