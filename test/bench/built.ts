/**
 * Builds the product and the ends as an installed package has them, as few files of JavaScript: taking the types out while a program
 * starts costs some 30 MiB and a hundred milliseconds, which a user of the package does not pay.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { bundleModules } from '../../node/platform/bundle-modules.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const BUILD_LIMIT_MS = 60_000
const PARTS = ['protocols', 'discovery', 'node', 'test/bench']

export interface Built {
  /** To be removed when the run is over. */
  readonly directory: string
  /** The built end.ts. */
  readonly end: URL
}

/**
 * Under test/bench, so that the built files find the same packages. Whether the types are right is not asked here.
 * @param root of the tree to build; this one unless told
 */
export const buildEnds = async (root = ROOT): Promise<Built> => {
  const parent = join(root, 'test/bench/dist/')
  await mkdir(parent, { recursive: true })
  const directory = await mkdtemp(parent)
  const config = join(directory, 'tsconfig.json')
  const settings = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: { noEmit: false, noCheck: true, outDir: directory, rootDir: root },
    include: PARTS.map((part) => join(root, part)),
    exclude: [join(root, 'test/bench/node_modules'), parent],
  }
  await writeFile(config, JSON.stringify(settings))
  const compiler = spawn(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', config], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: BUILD_LIMIT_MS,
  })
  let said = ''
  compiler.stdout.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2_000)
  })
  const [code] = await once(compiler, 'close')
  if (code !== 0) throw new Error(`the ends could not be built: ${said}`)
  // The product reads its version there.
  await copyFile(join(root, 'package.json'), join(directory, 'package.json'))
  const lib = join(directory, 'dist/lib')
  await bundleModules(directory, { end: join(directory, 'test/bench/end.js') }, lib)
  return { directory, end: pathToFileURL(join(lib, 'end.js')) }
}
