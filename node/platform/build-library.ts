/**
 * `node build-library.ts`: what programs import, as few files in `dist/lib/`; the last step of `npm run build`. The compiled
 * modules go, and so do types that no program can name. The thread of an agent and the files of the debug page lie beside the chunks, which look for
 * them there.
 */
import { globSync } from 'node:fs'
import { copyFile, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleModules, neededTypes } from './bundle-modules.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const DIST = join(ROOT, 'dist')
const LIBRARY = join(DIST, 'lib')
const ENTRIES = {
  index: 'dist/node/index.js',
  protocols: 'dist/protocols/index.js',
  discovery: 'dist/discovery/index.js',
  testing: 'dist/node/testing/index.js',
  worker: 'dist/node/agent/worker.js',
}

await bundleModules(ROOT, ENTRIES, LIBRARY)
// First of all, before a chunk that an old Node cannot run.
await copyFile(join(DIST, 'node/lifecycle/check-node-version.js'), join(LIBRARY, 'check-node-version.js'))
for (const name of Object.keys(ENTRIES)) {
  const file = join(LIBRARY, `${name}.js`)
  await writeFile(file, `import './check-node-version.js'\n${await readFile(file, 'utf8')}`)
}
await rename(join(DIST, 'node/observe/dashboard/built'), join(LIBRARY, 'built'))
const needed = await neededTypes(Object.values(ENTRIES).map((path) => join(ROOT, path)))
const compiled = globSync('{node,protocols,discovery}/**/*.{js,d.ts}', { cwd: DIST }).map((file) => join(DIST, file))
await Promise.all(compiled.filter((file) => !needed.has(file)).map((file) => rm(file)))
