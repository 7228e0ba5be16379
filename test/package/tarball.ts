/** What `npm pack` makes, and whether all of it is needed and nothing is missing. */
import { join } from 'node:path'
import { z } from 'zod'
import { run } from './run.ts'

const PackedSchema = z.tuple([
  z.object({
    filename: z.string(),
    size: z.number(),
    unpackedSize: z.number(),
    files: z.array(z.object({ path: z.string(), size: z.number() })),
  }),
])

export interface Tarball {
  readonly path: string
  /** Bytes of the file, and of what comes out of it. */
  readonly size: number
  readonly unpackedSize: number
  readonly files: readonly { readonly path: string; readonly size: number }[]
}

/** Bytes unpacked that the package may have; above it somebody packs what nobody needs. */
const MAX_UNPACKED_BYTES = 10 * 1024 * 1024

const MUST = [
  'package.json',
  'README.md',
  'LICENSE',
  'CHANGELOG.md',
  'SECURITY.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'docs/glossary.md',
  'docs/mesh.svg',
  'docs/asyncapi.json',
  'docs/calls.md',
  'docs/configuration.md',
  'docs/parts.md',
  'docs/protocol.md',
  'docs/tasks.md',
  'docs/decisions/design.md',
  'node/cli/bin.js',
  'dist/node/index.d.ts',
  'dist/command/main.js',
  'dist/command/worker.js',
  'dist/command/LICENSES.txt',
  'dist/lib/index.js',
  'dist/lib/testing.js',
  'dist/lib/worker.js',
  'dist/lib/protocols.js',
  'dist/protocols/index.d.ts',
  'dist/lib/discovery.js',
  'dist/discovery/index.d.ts',
  'protocols/wire/parley.proto',
]

/** Bundles and types of the compiled sources, what belongs to the debug page, descriptions of formats, and texts. */
const MAY = [
  /^dist\/(protocols|discovery|node)\/[a-z0-9/-]+\.d\.ts$/,
  /^dist\/lib\/([A-Za-z0-9-]+\.js|built\/page\.(js|css|html))$/,
  /^dist\/command\/([A-Za-z0-9-]+\.js|LICENSES\.txt|built\/page\.(js|css|html))$/,
  /^protocols\/[a-z/]+\.proto$/,
  /^node\/cli\/bin\.js$/,
  /^docs\/(decisions\/)?[a-z-]+\.(md|svg)$/,
  /^docs\/asyncapi\.json$/,
  /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|SECURITY\.md|ARCHITECTURE\.md|CONTRIBUTING\.md)$/,
]

/** What is wrong with what was packed. */
export const faultsOf = ({ files, unpackedSize }: Pick<Tarball, 'files' | 'unpackedSize'>): string[] => {
  const paths = files.map(({ path }) => path)
  return [
    ...MUST.filter((path) => !paths.includes(path)).map((path) => `${path} is missing`),
    ...paths.filter((path) => !MAY.some((form) => form.test(path))).map((path) => `${path} does not belong there`),
    ...(unpackedSize > MAX_UNPACKED_BYTES
      ? [`${unpackedSize} bytes unpacked are more than ${MAX_UNPACKED_BYTES}`]
      : []),
  ]
}

/** Builds and packs `root` into `folder`. */
export const pack = async (root: string, folder: string): Promise<Tarball> => {
  // The build runs by itself, as it does when somebody publishes.
  await run('npm', ['run', 'build', '--silent'], { cwd: root })
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    cwd: root,
  })
  const [{ filename, ...facts }] = PackedSchema.parse(JSON.parse(stdout))
  return { ...facts, path: join(folder, filename) }
}
