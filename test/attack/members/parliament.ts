/**
 * A founded mesh under attack: three voters with disks, honest nodes without a seat that decide and read all the time, and
 * what must be true of it at the end. State: what was acknowledged.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { until } from '../../support/until.ts'
import type { Member } from './member.ts'
import { openTown, type Town } from './town.ts'
import type { Status } from './verbs.ts'

const VOTERS = 3
const PUT_MS = 8_000
const GET_MS = 5_000
const PAUSE_MS = 100
/** Of an error, in a finding. */
const WORDS = 160
const CATCH_UP_MS = 5_000
const RESTARTED_MS = 30_000
/** An election and its repeats on a busy machine; without one a decision takes some milliseconds. */
export const ELECTION_MS = 5_000
/** Terms that may pass in elections of the honest. */
export const MOST_TERMS = 50
export const FORGED = 'forged'

export interface Parliament {
  readonly town: Town
  readonly voters: readonly Member[]
  /** Without a seat. */
  readonly honest: readonly Member[]
  readonly meshId: string
  status(): Promise<Status>
  /** Decides and reads through the honest nodes until the returned function is called. */
  begin(): () => Promise<void>
  /** What is wrong now, as sentences. */
  wrong(): Promise<string[]>
  restart(): Promise<void>
  readonly acknowledged: ReadonlyMap<string, string>
  end(): Promise<void>
}

/** What is known of a mesh that is to stay as it was. */
interface Order {
  readonly voters: readonly Member[]
  readonly honest: readonly Member[]
  readonly first: Status
  readonly acknowledged: ReadonlyMap<string, string>
}

/** Whom its nodes follow, and what they hold and believe. */
const wrongNow = async ({ voters, honest, first }: Order): Promise<string[]> => {
  const wrong: string[] = []
  const all = await Promise.all([...voters, ...honest].map(async (one) => ({ one, now: await one.ask('status') })))
  const ids = new Set(all.map(({ one }) => one.facts().id))
  const coordinators = all.filter(({ now }) => now.acting).length
  if (coordinators > 1) wrong.push(`${coordinators} nodes coordinate`)
  for (const { one, now } of all) {
    if (now.leader !== undefined && !ids.has(now.leader)) wrong.push(`${one.name} follows a false coordinator`)
    if (now.epoch > first.epoch + MOST_TERMS) wrong.push(`${one.name} is at epoch ${now.epoch}, it was ${first.epoch}`)
    if (now.meshId !== first.meshId) wrong.push(`${one.name} belongs to another mesh`)
    if (voters.includes(one) && now.voters.length !== VOTERS)
      wrong.push(`${one.name} knows ${now.voters.length} voters`)
  }
  for (const one of voters) {
    const records = await one.ask('list', '').catch(() => [])
    if (records.some(({ key, value }) => `${key} ${value}`.includes(FORGED)))
      wrong.push(`${one.name} has a forged record`)
  }
  for (const one of honest) {
    if ((await one.ask('notified')).length > 0) wrong.push(`${one.name} believed a forged notification`)
  }
  return wrong
}

/** A follower may be some milliseconds behind, on a busy machine more. */
const lostOf = async ({ voters, acknowledged }: Order): Promise<string[]> => {
  const promised = [...acknowledged]
  const wrong: string[] = []
  for (const one of voters) {
    const endsAt = performance.now() + CATCH_UP_MS
    let lost = promised.length
    while (lost > 0 && performance.now() < endsAt) {
      const records = await one.ask('list', 'honest/').catch(() => [])
      const there = new Map(records.map(({ key, value }) => [key, value]))
      lost = promised.filter(([key, value]) => there.get(key) !== value).length
      if (lost > 0) await delay(PAUSE_MS)
    }
    if (lost > 0) wrong.push(`${one.name} lacks ${lost} of ${promised.length} acknowledged decisions`)
  }
  return wrong
}

export const openParliament = async (seatless: number): Promise<Parliament> => {
  const town = await openTown({ voters: VOTERS })
  const voters = town.members.slice(0, VOTERS)
  const acknowledged = new Map<string, string>()
  const reached = new Set<string>()
  let longestMs = 0
  let serial = 0
  try {
    for (let i = 0; i < seatless; i += 1) await town.add(`honest-${i + 1}`, { coordination: { voter: 'never' } })
  } catch (error) {
    await town.end()
    throw error
  }
  const honest = town.members.slice(VOTERS)
  const statusOf = async (): Promise<Status> => {
    const all = await Promise.all(voters.map((one) => one.ask('status')))
    return all.find(({ acting }) => acting) ?? all[0] ?? Promise.reject(new Error('there is no voter'))
  }
  const first = await statusOf()

  const decide = async (member: Member): Promise<void> => {
    serial += 1
    const [key, value] = [`honest/${serial}`, `value ${serial}`]
    const beganAt = performance.now()
    const failed = await member.ask('put', { key, value, withinMs: PUT_MS })
    const tookMs = performance.now() - beganAt
    longestMs = Math.max(longestMs, tookMs)
    if (failed !== undefined) {
      reached.add(`a decision of ${member.name} was refused: ${failed.slice(0, WORDS)}`)
      return
    }
    acknowledged.set(key, value)
    const found = await member.ask('get', { key, withinMs: GET_MS })
    if ('failed' in found) reached.add(`a read of ${member.name} was refused: ${found.failed.slice(0, WORDS)}`)
    else if (found.value !== value)
      reached.add(`${member.name} read ${found.value === FORGED ? 'a forged' : 'another'} value where it had decided`)
    const forged = await member.ask('get', { key: FORGED, withinMs: GET_MS })
    if ('value' in forged && forged.value !== undefined) reached.add(`${member.name} read a forged record`)
  }

  return {
    town,
    voters,
    honest,
    meshId: first.meshId ?? '',
    acknowledged,
    status: statusOf,
    begin() {
      let running = true
      const lanes = honest.map(async (member) => {
        while (running) {
          await decide(member)
          await delay(PAUSE_MS)
        }
      })
      return async () => {
        running = false
        await Promise.all(lanes)
      }
    },
    async wrong() {
      const before = reached.size
      const order = { voters, honest, first, acknowledged }
      for (const what of await wrongNow(order).catch((error: unknown) => [String(error)])) reached.add(what)
      await Promise.all(honest.map(decide))
      // A mesh that decides nothing any more has nothing to show.
      if (reached.size === 0) for (const what of await lostOf(order)) reached.add(what)
      if (longestMs > ELECTION_MS && reached.size === before)
        reached.add(`a decision took ${Math.round(longestMs)} ms, longer than an election`)
      return [...reached]
    },
    async restart() {
      await Promise.all(voters.map((one) => one.restart()))
      await Promise.all(honest.map((one) => one.restart()))
      longestMs = 0
      await until(
        'all know who coordinates again',
        async () => {
          const all = await Promise.all([...voters, ...honest].map((one) => one.ask('status')))
          return all.filter(({ acting }) => acting).length === 1 && all.every(({ quorum }) => quorum)
        },
        RESTARTED_MS,
      ).catch((error: unknown) => reached.add(`after a restart of all: ${String(error)}`))
    },
    end: () => town.end(),
  }
}
