/** The scripts in test/sim/scripts/, one after another: told, compared, rewritten on demand. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { UsageError } from '../../support/usage.ts'
import { type Told, tell } from './script.ts'

const FOLDER = fileURLToPath(new URL('../scripts/', import.meta.url))
const SUFFIX = '.txt'

/** Names without the suffix, sorted. */
export const scriptNames = (): string[] =>
  readdirSync(FOLDER)
    .filter((file) => file.endsWith(SUFFIX))
    .map((file) => file.slice(0, -SUFFIX.length))
    .sort()

const pathOf = (name: string): string => `${FOLDER}${name}${SUFFIX}`
export const readScript = (name: string): string => readFileSync(pathOf(name), 'utf8')

/** @returns why it fails; undefined where it is as it says */
export const problemOf = (told: Told): string | undefined => {
  const { difference } = told
  if (difference === undefined) return undefined
  return `line ${difference.line}: expected ${JSON.stringify(difference.expected)}, found ${JSON.stringify(difference.found)}`
}

/** Tells one, and writes down what came of it where it is to be rewritten. @returns why it fails */
const runOne = (name: string, rewrite: boolean): string | undefined => {
  try {
    const told = tell(readScript(name))
    if (rewrite && told.difference !== undefined) {
      writeFileSync(pathOf(name), told.text)
      console.log(`rewrote ${name}`)
      return undefined
    }
    return problemOf(told)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** @returns the exit code */
export const runScripts = async ({ rewrite, only }: { rewrite: boolean; only: string }): Promise<number> => {
  const names = scriptNames().filter((name) => name.includes(only))
  if (names.length === 0) throw new UsageError(`--only ${JSON.stringify(only)}: no script has it in its name`)
  let failed = 0
  for (const name of names) {
    const problem = runOne(name, rewrite)
    if (problem === undefined) continue
    failed += 1
    console.error(`script ${name}: ${problem}`)
  }
  if (failed > 0) console.error('as they are now: npm run sim -- --scripts --rewrite; then look at what has changed')
  console.log(`scripts ${names.length}, as expected ${names.length - failed}`)
  return failed === 0 ? 0 : 1
}
