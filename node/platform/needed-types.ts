/** Which type declarations of the compiled modules programs need: those of what they import, and what these name. */
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

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
