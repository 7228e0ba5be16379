/**
 * A group of simulated members under faults: everything follows from the seed.
 *
 * Members crash between any two writes, lose what they had not written, lose their whole disk and come back as somebody
 * else, freeze, are cut off one way or both ways or from some only; messages are lost, doubled, late and out of order;
 * voters are added, promoted and removed, and leadership is handed over, all the while. Invariants are looked at in each
 * step; at the end everything heals, the group must agree and answer again, and what clients were told all the while must be
 * linearizable.
 */

import { createRandom } from '../../../node/testing/virtual/virtual-time.ts'
import { majority } from '../../../protocols/consensus/raft/quorum.ts'
import type { RaftOutput } from '../../../protocols/consensus/raft/raft.ts'
import {
  type Configuration,
  type Entry,
  encodeConfiguration,
  type RaftMessage,
} from '../../../protocols/consensus/raft/raft-messages.ts'
import { type Clients, createClients } from './clients.ts'
import { createInvariants, Violation } from './invariants.ts'
import type { Command, Machine } from './machine.ts'
import { Member, type Snapshot } from './member.ts'
import { FAULTS, type Fault, MIXES, type Mix } from './mixes.ts'
import { createNetwork } from './network.ts'

const TICK_MS = 50
const CLIENT_MS = 20
const COMPACT_AFTER = 30
/** Shares of the steps after which a member dies: any step; one that promised a vote; one that committed as leader. */
const DIES = { anywhere: 0.0008, promised: [0.02, 0.5], committed: [0.01, 0.3] } as const
/** Most restarts take a while; some are so quick that nobody noticed. */
const RESTART_MS = [
  [100, 2_500],
  [100, 2_500],
  [0, 40],
] as const
const NOTICED_MS = [1, 500] as const
/** After everything has healed the group must answer again within this. */
const HEAL_MS = 30_000

export interface Totals {
  steps: number
  elections: number
  snapshots: number
  restores: number
  crashes: number
  lostDisks: number
  changes: number
  partitions: number
  freezes: number
  transfers: number
  acknowledged: number
  retried: number
  reads: number
  /** Commands whose client did not wait to the end. */
  givenUp: number
  /** Operations of the histories that were looked at. */
  judged: number
}

export const noTotals = (): Totals => ({
  steps: 0,
  elections: 0,
  snapshots: 0,
  restores: 0,
  crashes: 0,
  lostDisks: 0,
  changes: 0,
  partitions: 0,
  freezes: 0,
  transfers: 0,
  acknowledged: 0,
  retried: 0,
  reads: 0,
  givenUp: 0,
  judged: 0,
})

export interface RunOptions {
  readonly seed: number
  /** Steps under faults, before everything heals. */
  readonly steps: number
  /** Which faults there are; all of them unless told. */
  readonly mix?: Mix | undefined
  readonly trace?: ((line: string) => void) | undefined
}

interface Event {
  readonly atMs: number
  readonly order: number
  readonly fn: () => void
}

/** A binary heap by time, and by order of entry where times are the same. */
const createAgenda = () => {
  const heap: Event[] = []
  const isBefore = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
  const at = (i: number): Event => heap[i] as Event
  const swap = (i: number, j: number): void => {
    const held = at(i)
    heap[i] = at(j)
    heap[j] = held
  }
  let order = 0
  return {
    add(atMs: number, fn: () => void): void {
      let i = heap.push({ atMs, order: order++, fn }) - 1
      while (i > 0 && isBefore(at(i), at((i - 1) >> 1))) {
        swap(i, (i - 1) >> 1)
        i = (i - 1) >> 1
      }
    },
    next(): Event | undefined {
      const first = heap[0]
      const last = heap.pop()
      if (first === undefined || last === undefined || heap.length === 0) return first
      heap[0] = last
      for (let i = 0; ; ) {
        let least = i
        for (const child of [2 * i + 1, 2 * i + 2])
          if (child < heap.length && isBefore(at(child), at(least))) least = child
        if (least === i) return first
        swap(i, least)
        i = least
      }
    },
  }
}

/** @throws Violation with the step at which it was found */
export const runWorld = (options: RunOptions): Totals => {
  const totals = noTotals()
  try {
    run(options, totals)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new Violation(`step ${totals.steps}: ${message}`, { cause: error })
  }
  return totals
}

const run = ({ seed, steps, mix = MIXES.all as Mix, trace }: RunOptions, totals: Totals): void => {
  const random = createRandom(seed)
  const between = ([least, most]: readonly [number, number]): number => least + random() * (most - least)
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)]
  const chance = (share: number): boolean => random() < share
  const agenda = createAgenda()
  const invariants = createInvariants()
  const members = new Map<string, Member>()
  /** One entry a message: what is of an old term arrives before what is of the new one. */
  const settings = { maxEntries: pick([1, 2, 512]) ?? 512 }
  const dies = { promised: (pick(DIES.promised) ?? 0) * mix.dies, committed: (pick(DIES.committed) ?? 0) * mix.dies }
  let nowMs = 0
  let isFaulty = true
  let generation = 0

  const after = (delayMs: number, fn: () => void): void => agenda.add(nowMs + delayMs, fn)
  const tell = (line: string): void => trace?.(`${nowMs.toFixed(1).padStart(9)} ${line}`)

  type Packet = { readonly message: RaftMessage; readonly snapshot: Snapshot | undefined }
  const arrive = (from: string, to: string, packet: Packet): void => {
    const member = members.get(to)
    if (member === undefined || !member.isUp) return
    // A frozen process reads what came as soon as it wakes.
    const waitMs = member.frozenUntil - nowMs
    if (waitMs > 0) after(waitMs, () => deliver(from, to, packet))
    else deliver(from, to, packet)
  }
  /** A transfer that breaks off is noticed, mostly. */
  const lose = (from: string, to: string, { message }: Packet): void => {
    if (message.type !== 'snapshot' || chance(0.3)) return
    after(between(NOTICED_MS), () => {
      const member = members.get(from)
      if (member?.isUp === true) step(member, { type: 'snapshot-failed', to })
    })
  }
  const network = createNetwork<Packet>(random, after, arrive, lose)
  const deliver = (from: string, to: string, { message, snapshot }: Packet): void => {
    const member = members.get(to)
    if (member?.isUp !== true) return
    if (trace !== undefined)
      tell(`${from} > ${to} ${JSON.stringify(message, (key, value) => (key === 'data' ? '' : value))}`)
    if (message.type === 'snapshot') totals.restores += 1
    step(member, { type: 'message', from, message }, snapshot)
  }

  const step = (
    member: Member,
    input: Parameters<Member['step']>[2],
    snapshot?: Snapshot,
  ): ReturnType<Member['step']> => {
    totals.steps += 1
    const wasLeader = member.raft?.status().role === 'leader'
    const budget = isFaulty && chance(DIES.anywhere * mix.dies) ? { writes: Math.floor(random() * 6) } : undefined
    const output = member.step(budget, snapshot, ...(input === undefined ? [] : [input]))
    if (!member.isUp) {
      tell(`${member.id} dies on the way`)
      totals.crashes += 1
      restartLater(member)
    } else if (!wasLeader && member.raft?.status().role === 'leader') {
      totals.elections += 1
      tell(`${member.id} leads in term ${member.raft.status().term}`)
    }
    if (isFaulty && output !== undefined) dieAfter(member, output, wasLeader)
    return output
  }

  /** What a member has told others is what it must remember. */
  const dieAfter = (member: Member, { messages, committed }: RaftOutput, isLeader: boolean): void => {
    const hasPromised = messages.some(({ message }) => message.type === 'voted' && message.granted && !message.isPre)
    const isDue = (hasPromised && chance(dies.promised)) || (isLeader && committed.length > 0 && chance(dies.committed))
    if (!isDue || !member.isUp) return
    tell(`${member.id} dies after what it said`)
    member.crash()
    totals.crashes += 1
    restartLater(member)
  }

  const clients: Clients = createClients(random, invariants, step)

  const events = {
    send: (from: string, { to, message }: { to: string; message: RaftMessage }, snapshot: Snapshot | undefined) =>
      network.send(from, to, { message, snapshot }),
    applied: (id: string, command: Command, index: number, machine: Machine) =>
      clients.applied(id, command, index, machine, nowMs),
    answered: clients.answered,
    readable: (readId: number, machine: Machine) => clients.read(readId, machine, nowMs),
  }

  const restartLater = (member: Member): void =>
    after(between(pick(RESTART_MS) ?? [0, 0]), () => {
      if (members.get(member.id) !== member || member.isUp) return
      tell(`${member.id} starts`)
      member.start()
    })

  const add = (id: string, founding: readonly Entry[]): Member => {
    const member = new Member(id, founding, invariants, events, random, settings)
    members.set(id, member)
    member.start()
    const rate = 0.9 + 0.2 * random()
    const tick = (): void => {
      if (members.get(id) !== member) return
      after(TICK_MS * rate, tick)
      if (member.isUp && member.frozenUntil <= nowMs) step(member, { type: 'tick' })
    }
    after(random() * TICK_MS, tick)
    return member
  }

  const count = 3 + 2 * Math.floor(random() * 2)
  const founders = Array.from({ length: count }, (_, i) => `n${i}`)
  let wanted: Configuration = { voters: founders, learners: [] }
  const founding: Entry[] = [{ index: 1, term: 1, kind: 'configuration', data: encodeConfiguration(wanted) }]
  invariants.wrote('founders', founding, 0)
  for (const id of founders) add(id, founding)

  const leaderOf = (): Member | undefined =>
    [...members.values()]
      .filter(({ raft }) => raft?.status().role === 'leader')
      .sort((a, b) => (b.raft?.status().term ?? 0) - (a.raft?.status().term ?? 0))[0]

  /** What the operator does next, one step at a time: learners first, then their promotion, then who is to go. */
  const nextConfiguration = (now: Configuration, leader: Member): Configuration | undefined => {
    const status = leader.raft?.status()
    if (status === undefined) return undefined
    const missing = wanted.voters.filter((id) => !now.voters.includes(id) && !now.learners.includes(id))
    if (missing.length > 0) return { voters: now.voters, learners: [...now.learners, ...missing] }
    const ready = now.learners.find(
      (id) => wanted.voters.includes(id) && (leader.raft?.matchOf(id) ?? 0) >= status.commit,
    )
    if (ready !== undefined)
      return { voters: [...now.voters, ready], learners: now.learners.filter((id) => id !== ready) }
    const leaving = now.voters.find((id) => !wanted.voters.includes(id))
    if (leaving !== undefined && wanted.voters.every((id) => now.voters.includes(id)))
      return { voters: now.voters.filter((id) => id !== leaving), learners: now.learners }
    return undefined
  }

  const operate = (): void => {
    after(mix.operatorMs, operate)
    const leader = leaderOf()
    const now = leader?.raft?.status().configuration
    if (leader === undefined || now === undefined || leader.frozenUntil > nowMs) return
    const next = nextConfiguration(now, leader)
    if (next === undefined) {
      // Whoever was replaced is switched off.
      for (const id of members.keys()) if (isSettled() && !wanted.voters.includes(id)) members.delete(id)
      return
    }
    if (step(leader, { type: 'change', configuration: next })?.proposed === undefined) return
    totals.changes += 1
    tell(`${leader.id} proposes ${JSON.stringify(next)}`)
    if (isFaulty && chance(mix.cutAtChange)) cutSides(false)
  }

  const isSettled = (): boolean => {
    const status = leaderOf()?.raft?.status()
    if (status === undefined || status.configurationIndex > status.commit) return false
    return [...status.configuration.voters].sort().join() === [...wanted.voters].sort().join()
  }

  const replace = (gone: string): void => {
    generation += 1
    const id = `${gone.split('.')[0]}.${generation}`
    wanted = { voters: [...wanted.voters.filter((voter) => voter !== gone), id], learners: [] }
    add(id, [])
    tell(`${id} is to take the place of ${gone}`)
  }

  const randomUp = (): Member | undefined => pick([...members.values()].filter(({ isUp }) => isUp))

  const die = (member: Member): void => {
    member.crash()
    totals.crashes += 1
    restartLater(member)
  }

  const cutSides = (isOneWay: boolean): void => {
    const ids = [...members.keys()]
    const side = new Set(ids.filter(() => chance(0.5)))
    for (const a of ids)
      for (const b of ids) {
        if (side.has(a) && !side.has(b)) network.cut(a, b)
        if (!isOneWay && !side.has(a) && side.has(b)) network.cut(a, b)
      }
    totals.partitions += 1
    tell(`cut ${[...side].join()} off${isOneWay ? ', one way' : ''}`)
    healLater()
  }

  const cutPair = (isOneWay: boolean): void => {
    const [a, b] = [pick([...members.keys()]), pick([...members.keys()])]
    if (a === undefined || b === undefined || a === b) return
    network.cut(a, b)
    if (!isOneWay) network.cut(b, a)
    totals.partitions += 1
    tell(`cut ${a} from ${b}${isOneWay ? ', one way' : ''}`)
    healLater()
  }

  const healLater = (): void =>
    after(between([200, 4_000]), () => {
      network.heal()
      tell('healed')
    })

  /** One after the other, and never more than the promise allows: "while a majority of the voters' disks survive". */
  const loseDisk = (): void => {
    if (!isSettled()) return
    const id = pick(wanted.voters)
    if (id === undefined || leaderOf() === undefined) return
    // Those that have what is committed.
    const whole = [...members.values()].filter(
      (member) => member.id !== id && wanted.voters.includes(member.id) && member.isUp,
    )
    if (whole.length < majority(wanted.voters.length)) return
    members.get(id)?.crash()
    members.delete(id)
    totals.lostDisks += 1
    tell(`${id} loses its disk`)
    replace(id)
  }

  const faults: Readonly<Record<Fault, () => void>> = {
    crash: () => {
      const member = randomUp()
      if (member === undefined) return
      tell(`${member.id} crashes`)
      die(member)
    },
    power: () => {
      tell('all crash')
      for (const member of members.values()) if (member.isUp) die(member)
    },
    sides: () => cutSides(false),
    'sides one way': () => cutSides(true),
    pair: () => cutPair(false),
    'pair one way': () => cutPair(true),
    freeze: () => {
      const member = randomUp()
      if (member === undefined) return
      member.frozenUntil = nowMs + between([300, 3_000])
      totals.freezes += 1
      tell(`${member.id} freezes`)
    },
    wires: () => {
      network.faults = {
        dropRate: pick([0, 0, 0.02, 0.2]) ?? 0,
        doubleRate: pick([0, 0.05, 0.3]) ?? 0,
        delayMs: pick([
          [1, 3],
          [1, 30],
          [1, 200],
        ] as const) ?? [1, 3],
      }
    },
    transfer: () => {
      const leader = leaderOf()
      if (leader === undefined) return
      totals.transfers += 1
      step(leader, { type: 'transfer' })
    },
    campaign: () => {
      const member = pick([...members.values()].filter(({ isUp, frozenUntil }) => isUp && frozenUntil <= nowMs))
      if (member !== undefined) step(member, { type: 'campaign' })
    },
    replace: () => {
      const id = pick(wanted.voters)
      if (id !== undefined && leaderOf() !== undefined && isSettled()) replace(id)
    },
    'lose disk': loseDisk,
  }
  const weightOfAll = FAULTS.reduce((sum, name) => sum + (mix.faults[name] ?? 0), 0)
  const pickFault = (): Fault | undefined => {
    let left = random() * weightOfAll
    for (const name of FAULTS) {
      left -= mix.faults[name] ?? 0
      if (left < 0) return name
    }
    return undefined
  }

  const misfortune = (): void => {
    if (!isFaulty) return
    after(between(mix.faultMs), misfortune)
    const fault = pickFault()
    if (fault !== undefined) faults[fault]()
  }
  const serveClients = (): void => {
    after(CLIENT_MS, serveClients)
    clients.act(nowMs, [...members.values()])
    for (const member of members.values()) {
      const status = member.raft?.status()
      if (status !== undefined && member.machine.applied - status.baseIndex >= COMPACT_AFTER && member.compact())
        totals.snapshots += 1
    }
  }
  after(0, serveClients)
  after(mix.operatorMs, operate)
  after(500, misfortune)

  const advance = (until: () => boolean): void => {
    while (!until()) {
      const event = agenda.next()
      if (event === undefined) throw new Error('nothing is going to happen any more')
      nowMs = event.atMs
      event.fn()
    }
  }
  advance(() => totals.steps >= steps)

  // Everything heals: what was acknowledged is there, on all, and new commands are taken.
  isFaulty = false
  tell('everything heals')
  network.heal()
  network.faults = { dropRate: 0, doubleRate: 0, delayMs: [1, 3] }
  for (const member of members.values()) {
    member.frozenUntil = 0
    if (!member.isUp) member.start()
  }
  const healedAt = nowMs
  const before = clients.counts.acknowledged
  const goal = invariants.highestCommitted()
  const voters = (): Member[] => [...members.values()].filter(({ id }) => wanted.voters.includes(id))
  const isWell = (): boolean =>
    clients.counts.acknowledged >= before + 3 && isSettled() && voters().every(({ machine }) => machine.applied >= goal)
  advance(() => isWell() || nowMs > healedAt + HEAL_MS)
  if (!isWell()) throw new Violation(`${HEAL_MS / 1_000} s after everything healed the group does not answer`)
  const digests = new Map<number, number>()
  for (const { id, machine } of voters()) {
    const other = digests.get(machine.applied)
    if (other !== undefined && other !== machine.digest) throw new Violation(`${id} has come to another state`)
    digests.set(machine.applied, machine.digest)
  }
  for (const { session, serial } of invariants.acknowledgedCommands()) {
    for (const { id, machine } of voters()) {
      const isBehind = machine.applied < invariants.highestAcknowledged()
      if (!isBehind && (machine.sessions.get(session) ?? 0) < serial)
        throw new Violation(`${id} has lost command ${session} ${serial}, which was acknowledged`)
    }
  }
  clients.judge()
  totals.acknowledged = clients.counts.acknowledged
  totals.retried = clients.counts.retried
  totals.reads = clients.counts.readsAnswered
  totals.givenUp = clients.counts.givenUp
  totals.judged = clients.counts.judged
}
