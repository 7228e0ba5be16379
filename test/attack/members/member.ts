/** An honest member as the driver of the attacks has it: a process, started, asked, weighed, killed and started again. */
import { readFileSync } from 'node:fs'
import type { MeshOptionsInput } from '../../../node/index.ts'
import { type Child, forkChild } from '../../soak/child.ts'
import type { MemberFacts, MemberVerbs } from './verbs.ts'

const PROGRAM = new URL('./member-process.ts', import.meta.url).href
const START_MS = 30_000
const PAGE_BYTES = 4_096
const MIB = 2 ** 20
/** Counters of what a node did not let through. */
const REFUSAL =
  /refus|doubt|contradict|cut_off|reject|denied|dropped|throttl|limited|exceeded|expelled|evicted|ignored|disconnect|unproven/

export interface Member {
  readonly name: string
  facts(): MemberFacts
  address(): string
  readonly ask: Child<MemberVerbs>['ask']
  /** Resident memory of its process now, MiB. */
  memoryMib(): number
  /** Counters of its metrics that say what was refused; those above 0. */
  refusals(): Promise<Readonly<Record<string, number>>>
  /** SIGKILL, and the same node again. */
  restart(): Promise<void>
  kill(): Promise<void>
}

export interface MemberPlan {
  readonly name: string
  readonly options: Omit<MeshOptionsInput, 'log'>
  readonly logFile: string
}

/** A process whose code is loaded: what is measured of a newcomer is joining, not loading. */
/**
 * V8 gives a process that gets busy 64 MiB more for young objects and keeps them: as much as an outsider may cost in all.
 * Here it has a fixed part, so that what a member grows by is what it holds.
 */
const FLAGS = ['--max-semi-space-size=8']

export const forkMember = (): Child<MemberVerbs> => forkChild<MemberVerbs>(PROGRAM, () => {}, FLAGS)

/** One line of the Prometheus text format. */
const readLine = (line: string): [string, number] | undefined => {
  const at = line.lastIndexOf(' ')
  const [name, value] = [line.slice(0, at), Number(line.slice(at + 1))]
  if (line.startsWith('#') || !REFUSAL.test(name) || name.includes('_bucket') || !(value > 0)) return undefined
  return [name.replace(/^parley_/, ''), value]
}

export const refusalsOf = (text: string): Record<string, number> =>
  Object.fromEntries(text.split('\n').flatMap((line) => [readLine(line)].filter((one) => one !== undefined)))

/** What grew from one look to the other. */
export const grown = (
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): Record<string, number> =>
  Object.fromEntries(
    Object.entries(after)
      .map(([name, value]): [string, number] => [name, value - (before[name] ?? 0)])
      .filter(([, more]) => more > 0),
  )

/** @throws with the node's own words where it would not start */
export const startMember = async ({ name, options, logFile }: MemberPlan, withinMs = START_MS): Promise<Member> => {
  let child = forkMember()
  let facts: MemberFacts
  const start = async (): Promise<MemberFacts> => {
    const started = await child.ask('start', { options: { ...options, name }, logFile, withinMs })
    if ('refused' in started) throw new Error(`${name} did not start: ${started.refused}`)
    return started.facts
  }
  try {
    facts = await start()
  } catch (error) {
    await child.kill()
    throw error
  }
  return {
    name,
    facts: () => facts,
    address: () => facts.addresses[0] ?? '',
    ask: (verb, ...input) => child.ask(verb, ...input),
    memoryMib() {
      const [, resident = '0'] = readFileSync(`/proc/${child.pid}/statm`, 'utf8').split(' ')
      return (Number(resident) * PAGE_BYTES) / MIB
    },
    refusals: async () => refusalsOf(await (await fetch(`${facts.debugUrl}/metrics`)).text()),
    async restart() {
      await child.kill()
      child = forkMember()
      facts = await start()
    },
    kill: () => child.kill(),
  }
}
