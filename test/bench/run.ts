/**
 * Runs one suite: rounds of all systems in turn (A B C A B C, or A B B A), each with fresh processes that end with its round.
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

/** @param round from 0 */
export const orderOf = ({ systems, mirrored }: Suite, round: number): readonly string[] =>
  mirrored === true && round % 2 === 1 ? systems.toReversed() : systems

export const runSuite = async (plan: Plan, processes: Processes, say: (line: string) => void): Promise<Outcome> => {
  const { suite, rounds } = plan
  const ledger = createLedger(rounds)
  const out = leaveOut(plan)
  const shares: number[] = []
  for (const [system, why] of out) say(`skipped ${system}: ${why}`)

  const once = async (system: string): Promise<Reading[]> => {
    try {
      return await suite.measure((role) => processes.start(suite.name, system, role))
    } finally {
      await processes.stopAll()
    }
  }
  const attempt = async (system: string, round: number): Promise<void> => {
    for (let tries = system === SUBJECT ? 1 : 2; tries > 0; tries--) {
      try {
        ledger.record(round, system, await once(system))
        return
      } catch (error) {
        say(`${system} failed in round ${round + 1}: ${reasonOf(error)}`)
        if (tries === 1) out.set(system, `failed in round ${round + 1}: ${reasonOf(error)}`)
      }
    }
  }

  for (let round = 0; round < rounds; round++) {
    for (const system of orderOf(suite, round)) {
      if (out.has(system)) continue
      const share = await lookAtOtherWork()
      shares.push(share)
      const beginMs = performance.now()
      await attempt(system, round)
      const seconds = ((performance.now() - beginMs) / 1_000).toFixed(1)
      const others = `${Math.round(share * 100)} % of the machine was busy with other work`
      say(`round ${round + 1}/${rounds} ${system} ${seconds} s, ${others}`)
    }
  }
  return { ledger, skipped: [...out].map(([system, why]) => ({ system, why })), otherWork: summarise(shares) }
}
