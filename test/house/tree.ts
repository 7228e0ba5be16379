/** The tracked sources and documents of this tree. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Sources } from './figures.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Of node/, protocols/ and discovery/. */
export const readSources = (): Sources => {
  const args = ['ls-files', '-z', '--', 'node/*.ts', 'protocols/*.ts', 'discovery/*.ts']
  const paths = execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).split('\0').filter(Boolean)
  return new Map(
    paths.filter((path) => !path.endsWith('.d.ts')).map((path) => [path, readFileSync(join(ROOT, path), 'utf8')]),
  )
}

export const wordsOf = (path: string): number =>
  readFileSync(join(ROOT, path), 'utf8').split(/\s+/).filter(Boolean).length
