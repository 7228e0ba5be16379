/**
 * Compiled modules as few files: what several entries share is in chunks, what is imported later stays apart. Each module of its own
 * costs a process about 19 KiB, so a node of some 500 modules is 3 MiB smaller so. Text and names stay readable, and a comment says
 * of which module each piece is. Of their type declarations those are kept that a program can name.
 */
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type BuildOptions, build, type Metafile } from 'esbuild'

/**
 * @param root folder of the package; the comments name modules by their place in it
 * @param entries the compiled modules that others import, by the name that the file gets
 * @param folder takes the files, all in one place, so that `import.meta.url` is the same folder for all of them
 * @param more what this bundle wants otherwise: packages in it, or smaller text
 * @returns which files became which
 * @throws what esbuild says of a module that it cannot find or read
 */
export const bundleModules = async (
  root: string,
  entries: Readonly<Record<string, string>>,
  folder: string,
  more: BuildOptions = { packages: 'external' },
): Promise<Metafile> => {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: { ...entries },
    outdir: folder,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    legalComments: 'none',
    logLevel: 'error',
    ...more,
    metafile: true,
  })
  return metafile
}

const NAMED = /(?:\bfrom |\bimport\(|\bimport )['"](\.[^'"]+)\.[jt]s['"]/g

/**
 * @param entries paths of compiled modules, ending with `.js`
 * @returns paths of their declarations and of all that these name, ending with `.d.ts`
 */
export const neededTypes = async (entries: readonly string[]): Promise<ReadonlySet<string>> => {
  const needed = new Set(entries.map((path) => path.replace(/\.js$/, '.d.ts')))
  // What is added on the way is visited too.
  for (const path of needed) {
    // Examples in comments name files that are not there.
    const text = await readFile(path, 'utf8').catch(() => '')
    for (const [, named = ''] of text.matchAll(NAMED)) needed.add(`${join(dirname(path), named)}.d.ts`)
  }
  return needed
}
