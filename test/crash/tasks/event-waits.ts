/**
 * Tasks that wait for events while publishers, workers and the coordinator are killed: each is given the first event that fits, the
 * same one in each attempt, or is told that it may be gone, where that is so. Keeps no state.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { until } from '../../support/until.ts'
import type { Scenario } from '../scenarios.ts'
import type { Verdict } from '../stage.ts'
import { END_MS, onStage, persist, told, victims } from './playing.ts'
import { REQUESTER, releaseOf, type TaskNode, type TaskStage, VOTERS, WORKER } from './stage.ts'
import { WAIT_TYPE } from './works.ts'

const PUBLISHERS = [WORKER, REQUESTER] as const
const AT_ONCE = 12
const PUBLISH_MS = [100, 600] as const
const PAUSE_MS = [700, 2_000] as const
const DOWN_MS = [200, 900] as const
/** A publisher that lives so long after it said something has told others. */
const TOLD_MS = 1_500
const MISSED = 'missed'
/** What is told under this word is soon gone. */
const GONE = 'gone'
const KEPT_EVENTS = 20
const NOISE = 200
const AWAY_MS = 2_000

interface Published {
  readonly serial: number
  readonly publisher: string
  /** By `performance.now`; undefined: nobody knows whether it was. */
  readonly at: number | undefined
}

/** What the driver knows of one task that waits. */
interface Order {
  readonly id: string
  readonly publisher: TaskNode
  readonly isOfSource: boolean
  readonly submittedAt: number
  readonly published: Published[]
}

/** When each publisher was killed, by name. State: these times. */
class Deaths {
  readonly #times = new Map<string, number[]>()

  add(name: string): void {
    this.#times.set(name, [...(this.#times.get(name) ?? []), performance.now()])
  }

  isAlive(name: string, from: number, to: number): boolean {
    return !this.#times.get(name)?.some((at) => at >= from && at <= to)
  }
}

/** Submitted, and it waits. */
const submitWait = async (stage: TaskStage, id: string, topic: string, source: string | undefined): Promise<void> => {
  const requester = stage.node(REQUESTER)
  const input = { topic, ...(source !== undefined && { source }) }
  await persist(() => requester.ask('submitOne', { id, type: WAIT_TYPE, input }))
  const waits = () => stage.outside.heard.has(id) || persist(() => requester.ask('isWaiting', id))
  await until(`${id} waits`, waits, END_MS, 50)
}

/** Goes on telling of it until the task has heard: a publisher that dies takes along what nobody else has. */
const playOrder = async (stage: TaskStage, n: number): Promise<Order> => {
  const { outside, random } = stage
  const publisher = stage.node(PUBLISHERS[n % PUBLISHERS.length] ?? WORKER)
  const isOfSource = n % 4 < 2
  const id = `order-${n}`
  const order: Order = { id, publisher, isOfSource, submittedAt: performance.now(), published: [] }
  await submitWait(stage, id, `orders.${n}`, isOfSource ? publisher.id : undefined)
  const endsAt = performance.now() + END_MS
  for (let serial = 1; !outside.heard.has(id) && performance.now() < endsAt; serial += 1) {
    const isTold = await publisher.ask('publish', { topic: `orders.${n}`, order: id, serial }).then(
      () => true,
      () => false,
    )
    order.published.push({ serial, publisher: publisher.name, at: isTold ? performance.now() : undefined })
    await delay(random.between(...PUBLISH_MS))
  }
  return order
}

const judgeOrder = (order: Order, heard: string | undefined, until: number, deaths: Deaths): string[] => {
  const { id, publisher, isOfSource, submittedAt, published } = order
  if (heard === undefined) return [`${id} has heard nothing, of ${published.length} events`]
  if (heard === MISSED) {
    const sources = isOfSource ? [publisher.name] : PUBLISHERS
    const isExcused = sources.some((name) => !deaths.isAlive(name, submittedAt - TOLD_MS, until))
    return isExcused ? [] : [`${id} is told of a hole, and no publisher was killed`]
  }
  const serial = Number(heard)
  if (!published.some((one) => one.serial === serial)) return [`${id} heard ${heard}, which nobody said`]
  const before = published.find(
    (one) => one.serial < serial && one.at !== undefined && deaths.isAlive(one.publisher, one.at, one.at + TOLD_MS),
  )
  return before === undefined ? [] : [`${id} heard ${serial}, and ${before.serial} was before it`]
}

/** What a publisher said is gone when somebody coordinates again: who waits for what it says is told, others wait on. */
const beAway = async (stage: TaskStage): Promise<string[]> => {
  const { outside } = stage
  const [lost, other] = [stage.node(WORKER), stage.node(REQUESTER)]
  const [gone, kept] = [`${GONE}-1`, `${GONE}-2`]
  await submitWait(stage, gone, `${GONE}.1`, lost.id)
  await submitWait(stage, kept, `${GONE}.2`, other.id)
  const leader = await until('a node coordinates', stage.coordinator, END_MS, 20)
  const others = VOTERS.filter((name) => name !== leader.name).slice(0, 2)
  const away = [leader, ...others.map((name) => stage.node(name))]
  await Promise.all(away.map((node) => node.kill()))
  await lost.ask('publish', { topic: `${GONE}.1`, order: gone, serial: 1 })
  for (let i = 0; i < NOISE; i += 1) await lost.ask('publish', { topic: `${GONE}.noise`, order: 'nobody', serial: i })
  await delay(AWAY_MS)
  await Promise.all(away.map((node) => node.start()))
  await until('it is told', () => outside.heard.has(gone), END_MS, 50)
  const wrong: string[] = []
  if (outside.heard.get(gone) !== MISSED) wrong.push(`${gone} heard ${outside.heard.get(gone)}, which is gone`)
  if (outside.heard.has(kept)) wrong.push(`${kept} heard ${outside.heard.get(kept)}, and nobody said anything`)
  await other.ask('publish', { topic: `${GONE}.2`, order: kept, serial: 1 })
  await until('the other one hears', () => outside.heard.has(kept), END_MS, 50)
  if (outside.heard.get(kept) !== '1') wrong.push(`${kept} heard ${outside.heard.get(kept)}`)
  return wrong
}

/** Until told to stop. @returns how many were killed */
const killAll = async (stage: TaskStage, deaths: Deaths, isOver: () => boolean): Promise<number> => {
  const { random } = stage
  let kills = 0
  while (!isOver()) {
    await delay(random.between(...PAUSE_MS))
    const some = random.next() < 0.3 ? [stage.node(random.pick(PUBLISHERS) ?? WORKER)] : await victims(stage)
    const chosen = some.filter(({ isThere }) => isThere)
    await Promise.all(
      chosen.map((node) => {
        deaths.add(node.name)
        return node.kill()
      }),
    )
    kills += chosen.length
    await delay(random.between(...DOWN_MS))
    for (const node of chosen) await node.start()
  }
  return kills
}

const playWaits = async (stage: TaskStage, tasks: number, say: (line: string) => void): Promise<Verdict> => {
  const { outside } = stage
  const wrong = await beAway(stage)
  say('what was gone was told of')
  const deaths = new Deaths()
  const orders: Order[] = []
  let next = 0
  let isOver = false
  const killing = killAll(stage, deaths, () => isOver)
  const play = async (): Promise<void> => {
    while (next < tasks) {
      next += 1
      orders.push(await playOrder(stage, next))
    }
  }
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, play))
  } finally {
    isOver = true
  }
  const kills = await killing
  const now = performance.now()
  const ids = [`${GONE}-1`, `${GONE}-2`, ...orders.map(({ id }) => id)]
  const ends = await stage.node(REQUESTER).ask('ends', { ids, timeoutMs: END_MS })
  const counts = { completed: 0, missed: 0, attempts: 0 }
  for (const { id, status, result, reason, attempts } of ends) {
    counts.attempts += attempts
    if (status !== 'completed') wrong.push(`${id} is ${status} (${reason})`)
    else counts.completed += 1
    if (result === MISSED) counts.missed += 1
    if (result !== outside.heard.get(id)) wrong.push(`${id} came to ${result}, and heard ${outside.heard.get(id)}`)
  }
  for (const order of orders) wrong.push(...judgeOrder(order, outside.heard.get(order.id), now, deaths))
  if (outside.distinct() !== ids.length) wrong.push(`the outside has ${outside.distinct()} effects, not ${ids.length}`)
  const events = orders.reduce((sum, { published }) => sum + published.length, 0)
  return {
    figures: {
      ...{ tasks: ids.length, ...counts, kills, events },
      ...{ runs: outside.runs, 'without duplicates': outside.distinct() },
    },
    violations: told([...outside.wrong, ...wrong]),
  }
}

export const eventWaits = (tasks: number): Scenario => ({
  name: 'tasks-event-waits',
  about: 'tasks wait for events, whose publishers, workers and coordinator are killed; then for some that are gone',
  play: ({ seed, say }) => {
    const history = [{ topic: GONE, store: 'memory' as const, maxEvents: KEPT_EVENTS }]
    const more = { events: { history } }
    return onStage({ seed, release: releaseOf(WAIT_TYPE), more }, (stage) => playWaits(stage, tasks, say))
  },
})
