/**
 * The messages of this node to one peer, on their way: the machine of outgoing.ts over sessions, the store and the wire.
 *
 * A session begins with a greeting, in which the receiver says what it has processed; it ends with the connection. A peer
 * that is not connected is greeted again and again, which has the mesh dial it, with 1 s to 30 s in between.
 * Where the outbox is another one than the numbers are of (it was lost, repaired, or restored from a backup), the greeting
 * says which one it takes the place of; what the former one had delivered is dropped, and the rest is numbered anew.
 * State: the machine, the session, which bodies are in memory (bounded over all destinations).
 */
import { ParleyError } from '../errors.ts'
import type { Fields, Port } from '../port.ts'
import { createBodies } from './bodies.ts'
import type { BreakerState } from './breaker.ts'
import { deliveryProtocol, type WirePositions } from './contract.ts'
import { decodeAnswer } from './frames.ts'
import { createGate } from './gate.ts'
import { type JudgingDeps, judge } from './judging.ts'
import { marksOf } from './message.ts'
import type { Settings } from './options.ts'
import { newEntry, type Out } from './out-entry.ts'
import { createOutgoing, type Outgoing } from './outgoing.ts'
import { isDone, positionsOf } from './positions.ts'
import { renumber } from './renewal.ts'
import { encodeDestination, type OutboxRow, outboxKey } from './rows.ts'
import { buryUnknown, catchUp, isBehind } from './set-back.ts'
import type { RowStore } from './storage.ts'
import { createTransmit } from './transmit.ts'

export interface DestinationDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'log' | 'random' | 'to' | 'members'>
  readonly store: RowStore
  readonly settings: Settings
  /** Bytes of bodies in memory, over all destinations. */
  readonly memory: { bytes: number }
  readonly peer: string
  readonly epoch: string
  readonly next: ReadonlyMap<number, number>
  readonly frontier: ReadonlyMap<number, number> | undefined
  chance(): number
  count(what: OutboxCount, by?: number): void
  /** It is no longer in the outbox. */
  gone(entry: Out): void
  recover: JudgingDeps['recover']
  /** A message, or a session (COM002), went on after such a failure, or did not. @param about which message, for the log */
  recovered(code: string, isWell: boolean, about?: Fields): void
  bury: JudgingDeps['bury']
}

export type OutboxCount =
  | 'sent'
  | 'resent'
  | 'delivered'
  | 'expired'
  | 'dead'
  | 'failedAttempts'
  | 'late'
  | 'sessions'
  | 'recovered'
  | 'renumbered'
  | 'lostRows'
  | 'breakerOpened'

export type DestinationState = 'idle' | 'greeting' | 'up' | 'refused'

export interface Destination {
  readonly peer: string
  state(): DestinationState
  breaker(): BreakerState['kind']
  /** Nothing may be numbered for now. */
  isBusy(): boolean
  ready(): Promise<void>
  number(lane: number): number
  entry(
    lane: number,
    sequence: number,
    about: Pick<Out, 'size' | 'rank' | 'policy' | 'expiresAt' | 'told'> & { readonly body: Uint8Array },
  ): Out
  /** It is durable. */
  take(entry: Out): void
  /** It was numbered, and is not kept; its place goes as one that is skipped. */
  drop(entry: Out): void
  /** The row of its numbers, as of now. */
  readonly row: () => Uint8Array
  /** From disk, in the order of the keys. @returns what it takes */
  restore(lane: number, sequence: number, row: OutboxRow | undefined, size: number, rank: number): void
  joined(): void
  left(): void
  answers(frame: Uint8Array): void
  tick(): void
  size(): number
  inFlight(): number
  /** What is on its way or waits to be. */
  waiting(): readonly Out[]
  stop(): void
}

const FIRST_GREETING_MS = 1_000
const LAST_GREETING_MS = 30_000
const REFUSED_MS = 300_000
const EXPIRY_MS = 1_000

export const createDestination = (deps: DestinationDeps): Destination => {
  const { port, store, settings, memory, peer } = deps
  const client = port.to(peer, deliveryProtocol)
  const bodies = createBodies(peer, store, memory, settings.outboxMemoryBytes)
  const judging: JudgingDeps = { ...deps, bodies, isStopped: () => isStopped }
  const transmit = createTransmit({
    port,
    peer,
    bodies,
    failed(of, error) {
      if (of === session && !isStopped) broken(error)
    },
    isCurrent: (of) => of === session && state === 'up' && !isStopped,
  })
  let outgoing: Outgoing<Out> = createOutgoing<Out>(settings, deps.chance, deps.next)
  let epoch = deps.epoch
  let frontier = deps.frontier
  let state: DestinationState = 'idle'
  let session = 0
  let greetAt = 0
  let greetDelayMs = FIRST_GREETING_MS
  let isStopped = false
  let lookedForExpiryAt = 0
  /** Numbered and not durable yet, or being judged: rows that are written under the numbers as they are. */
  let staged = 0
  let renumbering: Promise<void> | undefined
  let unstaged: (() => void) | undefined
  let isPumpDue = false
  /** The connection broke while messages were to be sent. */
  let isLost = false

  const now = (): number => port.clock.monotonic()
  const wall = (): number => port.clock.now()
  const gate = createGate(settings.breaker, now, () => deps.count('breakerOpened'))
  const row = (): Uint8Array => encodeDestination({ epoch, next: outgoing.next(), frontier })

  const remove = (entries: readonly Out[], count?: OutboxCount): void => {
    if (entries.length === 0) return
    store.later(entries.map(({ lane, sequence }) => ({ key: outboxKey(peer, lane, sequence), value: undefined })))
    for (const entry of entries) {
      bodies.release(entry)
      deps.gone(entry)
      if (entry.isSkip) continue
      if (count !== undefined) deps.count(count)
      if (entry.fault !== undefined) deps.recovered(entry.fault.code, true)
      entry.told?.(undefined)
    }
  }

  const settleStaged = (): void => {
    staged -= 1
    if (staged === 0) unstaged?.()
  }

  const pump = (): void => {
    isPumpDue = false
    if (isStopped || state !== 'up') return
    const most = gate.allowed()
    if (most === 0) return
    const entries = outgoing.pump(now(), most)
    if (entries.length === 0) return
    let again = 0
    for (const entry of entries) if (entry.attempts > 0) again += 1
    deps.count('sent', entries.length - again)
    if (again > 0) deps.count('resent', again)
    transmit.send(session, entries)
  }

  /** At the end of this turn: what is launched together goes together. */
  const pumpSoon = (): void => {
    if (isPumpDue) return
    isPumpDue = true
    queueMicrotask(pump)
  }

  const broken = (error: unknown): void => {
    isLost ||= state === 'up'
    if (state === 'up' || state === 'greeting') {
      state = 'idle'
      outgoing.down()
    }
    session = 0
    const isRefused = error instanceof ParleyError && (error.code === 'STA002' || error.code === 'SEC002')
    if (isRefused) {
      state = 'refused'
      greetAt = now() + REFUSED_MS
      port.log.error('a peer takes no messages of this node', { destination: peer, error })
      return
    }
    greetAt = now() + greetDelayMs * (0.75 + 0.5 * deps.chance())
    greetDelayMs = Math.min(LAST_GREETING_MS, greetDelayMs * 2)
  }

  const judgeOne = async (entry: Out): Promise<void> => {
    staged += 1
    const about = marksOf(entry.body)
    const verdict = await judge(judging, entry)
    settleStaged()
    if (isStopped || verdict === 'none') return
    if (verdict === 'again') outgoing.again(entry, now())
    else {
      outgoing.skip(entry)
      if (entry.fault !== undefined) deps.recovered(entry.fault.code, false, { destination: peer, ...about })
    }
    pumpSoon()
  }

  /** What was on disk when this process began may have been there before the backup was taken. */
  const isOld = ({ lane, sequence }: Out): boolean =>
    sequence < Math.max(frontier?.get(lane) ?? 0, deps.next.get(lane) ?? 0)

  /** What the former outbox had delivered is dropped, the rest gets numbers of this one. */
  const renew = async (former: { epoch: string; positions: WirePositions } | undefined): Promise<void> => {
    if (staged > 0)
      await new Promise<void>((resolve) => {
        unstaged = resolve
      })
    unstaged = undefined
    // Where the row of numbers was lost, they are taken for those of the outbox that the receiver knows.
    const isOurs =
      former === undefined || former.epoch === epoch || (epoch === '' && store.formerIds.includes(former.epoch))
    if (!isOurs) {
      const found = await buryUnknown(outgoing, bodies, isOld, judgeOne, wall())
      port.log.error('the outbox is older than one that a peer knows; messages of it may have been delivered', {
        destination: peer,
        ...found,
      })
    }
    const { chance } = deps
    const {
      outgoing: fresh,
      kept,
      gone,
    } = await renumber(
      { peer, store, limits: settings, bodies, chance },
      outgoing,
      frontier,
      isOurs ? former?.positions : undefined,
    )
    epoch = store.id
    frontier = undefined
    outgoing = fresh
    for (const entry of gone) {
      bodies.release(entry)
      deps.gone(entry)
      if (!entry.isSkip) entry.told?.(undefined)
    }
    deps.count('renumbered', kept)
    port.log.warn('the outbox is another one than before; its messages to a peer have new numbers', {
      destination: peer,
      kept,
      gone: gone.length,
      known: former !== undefined && isOurs,
    })
  }

  const judgeAll = (entries: readonly Out[]): void => {
    for (const entry of entries) void judgeOne(entry)
  }

  const greet = async (): Promise<void> => {
    state = 'greeting'
    const mine = 1 + Number(port.random(6).reduce((sum, byte) => sum * 256 + byte, 0))
    session = mine
    deps.count('sessions')
    try {
      const isRenewed = epoch !== store.id
      const bases = isRenewed ? [] : [...outgoing.bases()].map(([lane, base]) => ({ lane, base }))
      const former = [...store.formerIds]
      const reply = await client.hello({ epoch: store.id, former, isRenewing: isRenewed, session: mine, bases })
      if (isStopped || session !== mine) return
      if (isRenewed) {
        renumbering = renew(reply.former)
        try {
          await renumbering
        } finally {
          renumbering = undefined
        }
        if (isStopped || session !== mine) return
      }
      const positions = positionsOf(reply.positions)
      if (staged > 0 && isBehind(outgoing, positions))
        throw new ParleyError('COM003', 'messages are on their way to the disk', { hint: 'it greets again by itself' })
      const { lanes, condemned } = catchUp(outgoing, positions, wall())
      if (lanes.length > 0)
        port.log.error('the outbox is older than what a peer has processed of it; messages may have been delivered', {
          destination: peer,
          lanes,
        })
      judgeAll(condemned)
      const done = outgoing.welcome((lane, sequence) => {
        const position = positions.get(lane)
        return position !== undefined && isDone(position, sequence)
      }, reply.window)
      state = 'up'
      if (isLost) deps.recovered('COM002', true)
      isLost = false
      greetDelayMs = FIRST_GREETING_MS
      gate.reset()
      remove(done, 'delivered')
      pump()
    } catch (error) {
      if (isStopped || session !== mine) return
      broken(error)
    }
  }

  const greetIfDue = (): void => {
    if (isStopped || outgoing.size() === 0 || now() < greetAt || renumbering !== undefined) return
    if (state === 'idle' || state === 'refused') void greet()
  }

  return {
    peer,
    row,
    state: () => state,
    breaker: gate.kind,
    isBusy: () => renumbering !== undefined,
    async ready() {
      await renumbering?.catch(() => undefined)
    },
    number: (lane) => outgoing.number(lane),
    entry(lane, sequence, { size, rank, policy, expiresAt, body, told }) {
      staged += 1
      const entry = newEntry({ lane, sequence, size, rank, policy, expiresAt, isSkip: false, told })
      bodies.keep(entry, body, false)
      return entry
    },
    take(entry) {
      outgoing.take(entry)
      settleStaged()
      if (state === 'up') pumpSoon()
      else greetIfDue()
    },
    drop(entry) {
      bodies.release(entry)
      settleStaged()
      // The receiver is not to wait for its number.
      entry.isSkip = true
      if (!isStopped) outgoing.take(entry)
    },
    restore(lane, sequence, restored, size, rank) {
      const policy = restored?.policy ?? settings.retry
      const expiresAt = restored?.expiresAt
      const isSkip = restored?.message === undefined
      outgoing.take(newEntry({ lane, sequence, size, rank, policy, expiresAt, isSkip, told: undefined }))
    },
    joined() {
      greetAt = 0
      greetDelayMs = FIRST_GREETING_MS
      greetIfDue()
    },
    left() {
      if (state === 'refused') return
      isLost ||= state === 'up' && outgoing.size() > 0
      state = 'idle'
      session = 0
      outgoing.down()
      greetAt = now() + FIRST_GREETING_MS * deps.chance()
    },
    answers(frame) {
      const answer = decodeAnswer(frame)
      if (answer.session !== session) return
      if (state === 'idle' && answer.greet) {
        // It takes messages again, and says so before it is asked.
        greetAt = 0
        greetDelayMs = FIRST_GREETING_MS
        greetIfDue()
      }
      if (state !== 'up') return
      if (gate.alive()) pumpSoon()
      if (answer.greet) {
        broken(undefined)
        greetAt = now()
        greetIfDue()
        return
      }
      outgoing.setWindow(answer.window)
      for (const { lane, sequences } of answer.acked) remove(outgoing.acked(lane, sequences), 'delivered')
      for (const { lane, sequence, fault } of answer.failed) {
        deps.count('failedAttempts')
        const judged = outgoing.failed(lane, sequence, fault, now(), wall())
        if (judged !== undefined) void judgeOne(judged)
      }
      for (const { lane, sequences } of answer.held) outgoing.held(lane, sequences, now())
      // A peer that lost power has forgotten what it acknowledged, and waits for it.
      for (const { lane, sequences } of answer.missing) transmit.skip(session, lane, outgoing.missing(lane, sequences))
      pump()
    },
    tick() {
      if (isStopped || outgoing.size() === 0 || renumbering !== undefined) return
      const { late, judged } = outgoing.tick(now(), wall())
      if (late > 0) {
        deps.count('late', late)
        gate.failed()
      }
      judgeAll(judged)
      if (now() - lookedForExpiryAt >= EXPIRY_MS) {
        lookedForExpiryAt = now()
        judgeAll(outgoing.expired(wall()))
      }
      if (state === 'up') pump()
      else greetIfDue()
    },
    size: () => outgoing.size(),
    inFlight: () => outgoing.inWindow(),
    waiting: () => outgoing.entries().filter(({ isSkip }) => !isSkip),
    stop() {
      isStopped = true
      for (const entry of outgoing.entries()) bodies.release(entry)
    },
  }
}
