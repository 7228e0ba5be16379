/**
 * Whether the simulator finds what it is there for: deliberate bugs, each a patch of a temporary copy of the sources, each
 * run under the simulator until it fails.
 */
import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { UsageError } from '../support/usage.ts'
import { BUDGET_MUTANTS } from './mutants/budgets.ts'
import { COALITION_MUTANTS } from './mutants/coalitions.ts'
import { CORE_MUTANTS } from './mutants/core.ts'
import { DELIVERY_MUTANTS } from './mutants/delivery.ts'
import { DRIVER_MUTANTS } from './mutants/driver.ts'
import { INTRUDER_MUTANTS } from './mutants/intruder.ts'
import { type Mutant, patched } from './mutants/mutant.ts'
import { PLAN_MUTANTS } from './mutants/plans.ts'
import { RESOURCE_MUTANTS } from './mutants/resources.ts'
import { RULE_MUTANTS } from './mutants/rules.ts'
import { TASK_BYTES_MUTANTS } from './mutants/task-bytes.ts'
import { TASK_MUTANTS } from './mutants/tasks.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** All that the simulator loads. */
export const COPIED = ['package.json', 'protocols', 'node', 'discovery', 'test/sim', 'test/support']
const SEEDS = 3_000
/** For one mutant; most of them take seconds. */
const LIMIT_MS = 180_000
/** Output of a run that is kept. */
const MAX_OUTPUT = 100_000

export const MUTANTS: readonly Mutant[] = [
  ...CORE_MUTANTS,
  ...RULE_MUTANTS,
  ...DRIVER_MUTANTS,
  ...INTRUDER_MUTANTS,
  ...DELIVERY_MUTANTS,
  ...TASK_MUTANTS,
  ...TASK_BYTES_MUTANTS,
  ...RESOURCE_MUTANTS,
  ...BUDGET_MUTANTS,
  ...PLAN_MUTANTS,
  ...COALITION_MUTANTS,
]

export const sourceOf = ({ file }: Mutant): string => readFileSync(join(ROOT, file), 'utf8')

const copy = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'parley-mutant-'))
  for (const path of COPIED) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    cpSync(join(ROOT, path), join(folder, path), { recursive: true })
  }
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  return folder
}

/** @returns what it wrote to stderr where it failed; undefined where all was well, or it took too long */
const runSim = (folder: string, args: readonly string[]): Promise<string | undefined> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['test/sim/main.ts', ...args], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: LIMIT_MS,
    })
    let said = ''
    child.stderr.setEncoding('utf8')
    child.stderr.on('data', (text: string) => {
      if (said.length < MAX_OUTPUT) said += text
    })
    child.once('error', reject)
    child.once('close', (code) => resolve(code === 1 ? said : undefined))
  })

const SEED_FOUND = /^seed (\d+):/

/** Whether what was found comes of the bug: the sources without it must come through the same seed. */
const isWellWithout = async (scenario: string, found: string): Promise<boolean> => {
  const seed = SEED_FOUND.exec(found)?.[1]
  const args = seed === undefined ? ['--scripts'] : ['--scenario', scenario, '--seed', seed]
  return (await runSim(ROOT, args)) === undefined
}

interface Hunt {
  readonly isKilled: boolean
  readonly line: string
}

const hunt = async (mutant: Mutant): Promise<Hunt> => {
  const { bug, file, scenario = 'all' } = mutant
  const lives = (why: string): Hunt => ({ isKilled: false, line: `LIVES  ${bug}: ${why}` })
  const source = patched(sourceOf(mutant), mutant)
  if (source === undefined) return lives(`the patch does not fit ${file} any more`)
  const folder = copy()
  try {
    writeFileSync(join(folder, file), source)
    const isScript = scenario === 'scripts'
    const args = isScript ? ['--scripts'] : ['--scenario', scenario, '--seeds', String(SEEDS), '--jobs', '1']
    const said = await runSim(folder, args)
    const found = said?.split('\n').find((line) => line.startsWith(isScript ? 'script ' : 'seed '))
    if (found === undefined) return lives(`${scenario} finds nothing`)
    if (!(await isWellWithout(scenario, found))) return lives(`${scenario} ${found}; but it fails without the bug too`)
    return { isKilled: true, line: `killed ${bug}: ${scenario} ${found}` }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @returns the exit code */
export const runMutants = async ({ only, jobs }: { only: string; jobs: number }): Promise<number> => {
  const chosen = MUTANTS.filter(({ bug, scenario = 'all' }) => bug.includes(only) || scenario === only)
  if (chosen.length === 0) throw new UsageError(`--only ${JSON.stringify(only)}: no mutant has it in its name`)
  const waiting = [...chosen]
  let killed = 0
  const work = async (): Promise<void> => {
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
      const { isKilled, line } = await hunt(mutant)
      if (isKilled) killed += 1
      console.log(line)
    }
  }
  await Promise.all(Array.from({ length: jobs }, work))
  console.log(`mutants ${chosen.length}, killed ${killed}`)
  return killed === chosen.length ? 0 : 1
}
