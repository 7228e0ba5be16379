/**
 * `node build-command.ts`: the command `parley` as few files, `dist/command/`; a step of `npm run build`, after the compiler. To
 * find and read some thousand modules is most of what a start costs, so the command and what it uses are put together. What
 * programs import, agents in their worker threads among them, is another bundle (`node/platform/build-library.ts`).
 */
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleModules } from '../platform/bundle-modules.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const COMPILED = join(ROOT, 'dist/node')
const COMMAND = join(ROOT, 'dist/command')
/** Native, with files of its own beside it, or not there where the package is installed. */
const SEPARATE = ['classic-level', 'pino', '@chainsafe/libp2p-quic', 'esbuild']
/** What was written as CommonJS asks for Node's own modules so. */
const REQUIRE =
  "import { createRequire as createRequireOf } from 'node:module'; const require = createRequireOf(import.meta.url);"

/** The folder of the package that a file belongs to. */
const packageOf = (file: string): string | undefined => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0]

/** All licences ask that their text goes with a copy. */
const licencesOf = async (folders: readonly string[]): Promise<string> => {
  const texts = folders.map(async (folder) => {
    const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
    const files = (await readdir(folder)).filter((file) => /^licen[cs]e/i.test(file))
    const said = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')))
    return [`${name} ${version} (${license})`, ...said].join('\n\n')
  })
  return (await Promise.all(texts)).join(`\n\n${'-'.repeat(80)}\n\n`)
}

const metafile = await bundleModules(ROOT, { main: 'dist/node/cli/main.js' }, COMMAND, {
  external: SEPARATE,
  banner: { js: REQUIRE },
  minifySyntax: true,
  minifyWhitespace: true,
})
const packages = new Set(Object.keys(metafile.inputs).map(packageOf))
const folders = [...packages].filter((folder) => folder !== undefined).sort()
await writeFile(join(COMMAND, 'LICENSES.txt'), await licencesOf(folders.map((folder) => join(ROOT, folder))))

// What a module finds beside itself: the thread of an agent, which shares its modules with the agent, and the debug page.
await writeFile(join(COMMAND, 'worker.js'), "import '../lib/worker.js'\n")
const page = join(COMPILED, 'observe/dashboard/built')
await mkdir(join(COMMAND, 'built'), { recursive: true })
for (const file of await readdir(page)) await copyFile(join(page, file), join(COMMAND, 'built', file))
