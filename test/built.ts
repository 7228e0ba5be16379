/**
 * The tests, and apart from them the programs that they start, put together into a few files of JavaScript: most of what a
 * test file, and each of the processes that it starts, would cost is finding, reading and stripping some thousand modules.
 *
 * A module still knows the place that its source is at, and so finds the files beside it. What is loaded by a path is its
 * source as before, unless it is one of the programs.
 */
import { globSync } from 'node:fs'
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build, type Plugin } from 'esbuild'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** Below the tree, so that the same packages are found. */
const BUILT = join(ROOT, 'dist/test')
/** What support/program.ts finds, and what those load by a path. */
const PROGRAMS = [
  ...['test/support/peer-process.ts', 'test/support/journal-peer.ts', 'test/support/gossip-flooder.ts'],
  ...['test/crash/node-process.ts', 'test/crash/messages/party-process.ts', 'test/crash/tasks/task-process.ts'],
  ...['node/cli/main.ts', 'node/agent/worker.ts'],
  ...['examples/report/main.ts', 'examples/report/agent-process.ts'],
  ...['examples/report/agents/*.ts', 'test/support/agents/*.ts'].flatMap((some) => globSync(some, { cwd: ROOT })),
]
/** Programs of these know the place that they were put at, and so find what was put beside them. */
const FINDING = ['node/agent/worker-thread.ts', 'examples/report/crew.ts', 'examples/report/agent-process.ts']
/** Native, with files of its own beside it, or not there at all. */
const SEPARATE = [
  'classic-level',
  'pino',
  '@chainsafe/libp2p-quic',
  '@nats-io/*',
  'moleculer',
  'amqplib',
  'lmdb',
  '@restatedev/*',
]
/** What was written as CommonJS asks for Node's own modules so; a module of a package is where it was put. */
const BANNER =
  "import { createRequire as createRequireOf } from 'node:module'; const require = createRequireOf(import.meta.url); " +
  'globalThis.placeUrl ??= import.meta.url; globalThis.placeDirectory ??= import.meta.dirname;'

/** In the same line as what follows, so that lines keep their numbers. */
const placeOf = (file: string): string =>
  `const placeUrl = ${JSON.stringify(pathToFileURL(file).href)}, placeDirectory = ${JSON.stringify(dirname(file))};`

/** @param finding files that know where they were put */
const places = (finding: readonly string[]): Plugin => ({
  name: 'places',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      if (path.includes('node_modules')) return undefined
      const text = await readFile(path, 'utf8')
      if (!text.includes('import.meta.')) return undefined
      const file = relative(ROOT, path)
      return { loader: 'ts', contents: placeOf(finding.includes(file) ? builtOf(file) : path) + text }
    })
  },
})

/** Where the built form of a file is, and the other way round. @param file from the root of the tree */
export const builtOf = (file: string): string => join(BUILT, file).replace(/\.ts$/, '.js')
export const sourceOf = (file: string): string => join(ROOT, relative(BUILT, file)).replace(/\.js$/, '.ts')

const buildAll = async (entryPoints: readonly string[], finding: readonly string[], root = ROOT): Promise<void> => {
  const { devDependencies } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  await build({
    absWorkingDir: root,
    entryPoints: [...entryPoints],
    outbase: root,
    outdir: join(root, relative(ROOT, BUILT)),
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    external: [...SEPARATE, ...Object.keys(devDependencies)],
    define: { 'import.meta.url': 'placeUrl', 'import.meta.dirname': 'placeDirectory', 'import.meta.main': 'false' },
    banner: { js: BANNER },
    plugins: [places(finding)],
    logLevel: 'error',
  })
}

/** A program of another tree, from its root. @returns where it is */
export const buildProgramOf = async (root: string, file: string): Promise<string> => {
  await buildAll([file], [], root)
  return join(root, relative(ROOT, builtOf(file)))
}

/** What the report's programs find beside them by the name of a source: that name leads to what was put together. */
const lead = async (file: string): Promise<void> => {
  const built = `./${basename(builtOf(file))}`
  const hasDefault = (await readFile(join(ROOT, file), 'utf8')).includes('export default')
  await writeFile(join(BUILT, file), hasDefault ? `export { default } from '${built}'\n` : `import '${built}'\n`)
}

/** @param files of tests, from the root of the tree @returns where the programs are, for support/program.ts */
export const buildTests = async (files: readonly string[]): Promise<string> => {
  await rm(BUILT, { recursive: true, force: true })
  // Apart: what is shared by fewer is in fewer files, and a program is started far more often than a test.
  await Promise.all([buildAll([...files, 'test/together.ts'], []), buildAll(PROGRAMS, FINDING)])
  await Promise.all(PROGRAMS.filter((file) => file.startsWith('examples/report/')).map(lead))
  // So near, it is found at once.
  await writeFile(join(BUILT, 'package.json'), '{"type":"module"}\n')
  // The command begins with bin.js, which takes the command as it was put together where no source is beside it.
  await copyFile(join(ROOT, 'node/cli/bin.js'), join(BUILT, 'node/cli/bin.js'))
  await mkdir(join(BUILT, 'dist/command'), { recursive: true })
  await writeFile(join(BUILT, 'dist/command/main.js'), "export * from '../../node/cli/main.js'\n")
  return BUILT
}

/** A program that runs several tests in one process. @returns what it is called, as if it were of the tree */
export const buildTogether = async (files: readonly string[], at: number, timeoutMs: number): Promise<string> => {
  const name = `test/together-${at + 1}.ts`
  const places = Object.fromEntries(files.map((file) => [file, builtOf(file)]))
  const text = `import { runTogether } from './together.js'\nawait runTogether(${JSON.stringify(places)}, ${timeoutMs})\n`
  await writeFile(builtOf(name), text)
  return name
}
