// Modules of npm in a page without a bundler: require(), by asking the server that the page is from.
"use strict";

const requireFrom = (root) => {
  const loaded = {};
  const read = (path) => {
    const request = new XMLHttpRequest();
    request.open("GET", path, false);
    request.send();
    return request.status === 200 ? request.responseText : null;
  };
  const find = (name, from) => {
    const path = new URL(name.startsWith(".") ? name : root + name, new URL(from, location.href)).pathname;
    const manifest = read(`${path}/package.json`);
    const main = manifest && (JSON.parse(manifest).browser || JSON.parse(manifest).main || "index.js");
    const candidates = manifest ? [new URL(main, new URL(`${path}/`, location.href)).pathname] : [path];
    for (const candidate of candidates.flatMap((each) => [each, `${each}.js`, `${each}.json`, `${each}/index.js`])) {
      const text = /\.(js|json|cjs)$/.test(candidate) ? read(candidate) : null;
      if (text !== null) return [candidate, text];
    }
    throw new Error(`no module ${name} from ${from}`);
  };
  const require = (name, from) => {
    const [path, text] = find(name, from);
    if (!loaded[path]) {
      const module = (loaded[path] = { exports: {} });
      if (path.endsWith(".json")) module.exports = JSON.parse(text);
      else new Function("module", "exports", "require", text)(module, module.exports, (other) => require(other, path));
    }
    return loaded[path].exports;
  };
  return (name) => require(name, "/");
};
