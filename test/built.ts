/**
 * The tests and the programs that they start, each put together into a few files of JavaScript: most of what a test file,
 * and each of the processes that it starts, would cost is finding, reading and stripping some thousand modules.
 *
 * A module still knows the place that its source is at, and so finds the files beside it. What is loaded by a path, such as
 * an agent or the thread that it runs in, is its source as before.
 */
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build, type Plugin } from 'esbuild'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** Below the tree, so that the same packages are found. */
const BUILT = join(ROOT, 'dist/test')
/** What support/program.ts finds. */
const PROGRAMS = [
  'test/support/peer-process.ts',
  'test/support/journal-peer.ts',
  'test/crash/node-process.ts',
  'node/cli/main.ts',
]
/** Native, with files of its own beside it, or not there at all. */
const SEPARATE = [
  'classic-level',
  'pino',
  'prom-client',
  '@chainsafe/libp2p-quic',
  '@nats-io/*',
  'moleculer',
  'amqplib',
]
/** What was written as CommonJS asks for Node's own modules so; a module of a package is where it was put. */
const BANNER =
  "import { createRequire as createRequireOf } from 'node:module'; const require = createRequireOf(import.meta.url); " +
  'globalThis.placeUrl ??= import.meta.url; globalThis.placeDirectory ??= import.meta.dirname;'

/** In the same line as what follows, so that lines keep their numbers. */
const placeOf = (file: string): string =>
  `const placeUrl = ${JSON.stringify(pathToFileURL(file).href)}, placeDirectory = ${JSON.stringify(dirname(file))};`

const places: Plugin = {
  name: 'places',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      if (path.includes('node_modules')) return undefined
      const text = await readFile(path, 'utf8')
      return text.includes('import.meta.') ? { loader: 'ts', contents: placeOf(path) + text } : undefined
    })
  },
}

/** Where the built form of a file is, and the other way round. @param file from the root of the tree */
export const builtOf = (file: string): string => join(BUILT, file).replace(/\.ts$/, '.js')
export const sourceOf = (file: string): string => join(ROOT, relative(BUILT, file)).replace(/\.js$/, '.ts')

/** @param files of tests, from the root of the tree @returns where the programs are, for support/program.ts */
export const buildTests = async (files: readonly string[]): Promise<string> => {
  await rm(BUILT, { recursive: true, force: true })
  const { devDependencies } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  await build({
    absWorkingDir: ROOT,
    entryPoints: [...files, ...PROGRAMS],
    outbase: ROOT,
    outdir: BUILT,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    external: [...SEPARATE, ...Object.keys(devDependencies)],
    define: { 'import.meta.url': 'placeUrl', 'import.meta.dirname': 'placeDirectory', 'import.meta.main': 'false' },
    banner: { js: BANNER },
    plugins: [places],
    logLevel: 'error',
  })
  // The command begins with bin.js, which takes the command as it was put together where no source is beside it.
  await copyFile(join(ROOT, 'node/cli/bin.js'), join(BUILT, 'node/cli/bin.js'))
  await mkdir(join(BUILT, 'dist/command'), { recursive: true })
  await writeFile(join(BUILT, 'dist/command/main.js'), "export * from '../../node/cli/main.js'\n")
  return BUILT
}
