/** The version of this package, read once from its package.json (two levels up, from dist/lib/ as well; three where the sources are compiled one by one). */
import { readFileSync } from 'node:fs'

const read = (): string => {
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      const parsed: unknown = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
      if (typeof parsed === 'object' && parsed !== null && 'version' in parsed) return String(parsed.version)
    } catch {
      // The other place is looked at next.
    }
  }
  return 'unknown'
}

export const VERSION = read()
