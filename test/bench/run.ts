/**
 * Runs one suite: rounds of all systems in turn (A B C A B C), each with fresh processes that end with its round. In a mirrored suite all
 * systems of a round are there at once, and take turns case by case: what is compared ran within a second or two.
 *
 * A peer that fails is tried once more and is then out of the run, named with the reason; the system under test is out
 * at its first failure. Its floors then count as not measured.
 */
import { catalogue, type Entry, obstacle, SUBJECT } from './catalogue.ts'
import { createLedger, type Ledger, type Reading } from './ledger.ts'
import { lookAtOtherWork, type OtherWork, summarise } from './other-work.ts'
import type { Processes } from './processes.ts'
import type { Skipped } from './report.ts'
import type { Suite } from './suite.ts'
import { createTurns, type Turns } from './turns.ts'

export interface Plan {
  readonly suite: Suite
  readonly rounds: number
  /** Names of the systems to measure; all of the suite's when undefined. */
  readonly only: readonly string[] | undefined
  /** Why the peers' packages are not there; undefined when they are. */
  readonly peersMissing: string | undefined
}

export interface Outcome {
  readonly ledger: Ledger
  readonly skipped: readonly Skipped[]
  readonly otherWork: OtherWork
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

export const entriesOf = (suite: Suite): Entry[] =>
  suite.systems.map((name) => {
    const entry = suite.entries?.find((one) => one.name === name) ?? catalogue.get(name)
    if (entry === undefined) throw new Error(`suite ${suite.name} names ${name}, which is not in the catalogue`)
    return entry
  })

/** Whom the plan leaves out, and why. */
const leaveOut = ({ suite, only, peersMissing }: Plan): Map<string, string> => {
  const out = new Map<string, string>()
  for (const entry of entriesOf(suite)) {
    const chosen = only === undefined || only.includes(entry.name)
    const why = chosen ? (suite.notYet?.get(entry.name) ?? obstacle(entry, peersMissing)) : 'not chosen by --systems'
    if (why !== undefined) out.set(entry.name, why)
  }
  return out
}

/** Systems that run at the same time, in turns, one group after the other. @param round from 0 */
const groupsOf = ({ systems, mirrored }: Suite, round: number): readonly (readonly string[])[] =>
  mirrored === true ? [round % 2 === 1 ? systems.toReversed() : systems] : systems.map((system) => [system])

export const runSuite = async (plan: Plan, processes: Processes, say: (line: string) => void): Promise<Outcome> => {
  const { suite, rounds } = plan
  const ledger = createLedger(rounds)
  const out = leaveOut(plan)
  const shares: number[] = []
  for (const [system, why] of out) say(`skipped ${system}: ${why}`)

  const once = (system: string, pause: () => Promise<void>): Promise<Reading[]> =>
    suite.measure((role) => processes.start(suite.name, system, role), pause)

  /** @param most tries */
  const attempt = async (system: string, round: number, most: number, turns: Turns): Promise<void> => {
    for (let tries = most; tries > 0; tries--) {
      await turns.take()
      try {
        ledger.record(round, system, await once(system, turns.pass))
        return
      } catch (error) {
        say(`${system} failed in round ${round + 1}: ${reasonOf(error)}`)
        if (tries === 1) out.set(system, `failed in round ${round + 1}: ${reasonOf(error)}`)
        else await processes.stopAll()
      } finally {
        turns.give()
      }
    }
  }

  for (let round = 0; round < rounds; round++) {
    for (const group of groupsOf(suite, round)) {
      const systems = group.filter((system) => !out.has(system))
      if (systems.length === 0) continue
      const share = await lookAtOtherWork()
      shares.push(share)
      const beginMs = performance.now()
      const turns = createTurns()
      try {
        const triesOf = (system: string): number => (system === SUBJECT || systems.length > 1 ? 1 : 2)
        await Promise.all(systems.map((system) => attempt(system, round, triesOf(system), turns)))
      } finally {
        await processes.stopAll()
      }
      const seconds = ((performance.now() - beginMs) / 1_000).toFixed(1)
      const others = `${Math.round(share * 100)} % of the machine was busy with other work`
      say(`round ${round + 1}/${rounds} ${systems.join(', ')} ${seconds} s, ${others}`)
    }
  }
  return { ledger, skipped: [...out].map(([system, why]) => ({ system, why })), otherWork: summarise(shares) }
}
