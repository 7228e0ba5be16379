/**
 * The messages of this node to one peer, on their way: the machine of send-window.ts over sessions, the store and the wire.
 *
 * A session begins with a greeting, in which the receiver says what it has processed; it ends with the connection. A peer
 * that is not connected is greeted again and again, which has the mesh dial it, with 1 s to 30 s in between.
 * Where the outbox is another one than the numbers are of (it was lost, repaired, or restored from a backup), the greeting
 * says which one it takes the place of; what the former one had delivered is dropped, and the rest is numbered anew.
 * State: the machine, the session, which bodies are in memory (bounded over all destinations).
 */
import { ParleyError } from '../../errors.ts'
import { ackRangesOf, isDone, newAckRanges } from '../ack-ranges.ts'
import { deliveryProtocol, type WireAckRanges } from '../contract.ts'
import { decodeAckFrame } from '../delivery-frames.ts'
import { logFieldsOf } from '../durable-message.ts'
import { SessionBreaker } from '../recovery/circuit-breaker.ts'
import { encodePeerSenderRow, outboxKey, PEER_SENDERS } from '../store/delivery-rows.ts'
import type { RowChange } from '../store/row-storage.ts'
import { createBodyCache } from './body-cache.ts'
import { applyDeadLetterPolicy, type DeadLetterPolicyDeps } from './dead-letter-policy.ts'
import { createNumberLock } from './number-lock.ts'
import { createOutboxTransmitter } from './outbox-transmitter.ts'
import { newOutgoingMessage, type OutgoingMessage } from './outgoing-message.ts'
import type { OutboxCounter, PeerSender, PeerSenderDeps, PeerSenderState } from './peer-sender-api.ts'
import { renumber } from './renumber.ts'
import { createSendWindow, type SendWindow } from './send-window.ts'
import { catchUpNumbers, deadLetterUnknown, isBehind } from './stale-outbox.ts'

const FIRST_GREETING_MS = 1_000
const LAST_GREETING_MS = 30_000
const REFUSED_MS = 300_000
const EXPIRY_MS = 1_000

export const createPeerSender = (deps: PeerSenderDeps): PeerSender => {
  const { port, store, settings, memory, peer } = deps
  const client = port.to(peer, deliveryProtocol)
  const bodies = createBodyCache(peer, store, memory, settings.outboxMemoryBytes)
  const judging: DeadLetterPolicyDeps = { ...deps, bodies, isStopped: () => isStopped }
  const transmit = createOutboxTransmitter({
    port,
    peer,
    bodies,
    failed(of, error) {
      if (of === session && !isStopped) broken(error)
    },
    isCurrent: (of) => of === session && state === 'up' && !isStopped,
  })
  let outgoing: SendWindow<OutgoingMessage> = createSendWindow<OutgoingMessage>(settings, deps.chance, deps.next)
  let epoch = deps.epoch
  let frontier = deps.frontier
  let state: PeerSenderState = 'idle'
  let session = 0
  let greetAt = 0
  let greetDelayMs = FIRST_GREETING_MS
  let isStopped = false
  let lookedForExpiryAt = 0
  const numbers = createNumberLock()
  let isPumpDue = false
  /** The connection broke while messages were to be sent. */
  let isLost = false

  const now = (): number => port.clock.monotonic()
  const wall = (): number => port.clock.now()
  const gate = new SessionBreaker(settings.breaker, now, () => deps.count('breakerOpened'))
  const row = (): Uint8Array => encodePeerSenderRow({ epoch, next: outgoing.next(), frontier })

  const remove = (entries: readonly OutgoingMessage[], count?: OutboxCounter): void => {
    if (entries.length === 0) return
    store.later(entries.map(({ lane, sequence }) => ({ key: outboxKey(peer, lane, sequence), value: undefined })))
    for (const entry of entries) {
      bodies.release(entry)
      deps.removed(entry)
      if (entry.isSkip) continue
      if (count !== undefined) deps.count(count)
      if (entry.fault !== undefined) deps.recovered(entry.fault.code, true)
      entry.onOutcome?.(undefined)
    }
  }

  const pump = (): void => {
    isPumpDue = false
    if (isStopped || state !== 'up') return
    const most = gate.allowed()
    if (most === 0) return
    const entries = outgoing.nextToSend(now(), most)
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
      outgoing.sessionClosed()
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

  const judgeOne = async (entry: OutgoingMessage): Promise<void> => {
    numbers.acquire()
    const about = logFieldsOf(entry.body)
    const verdict = await applyDeadLetterPolicy(judging, entry)
    numbers.release()
    if (isStopped || verdict === 'none') return
    if (verdict === 'again') outgoing.retryAt(entry, now())
    else {
      outgoing.skip(entry)
      if (entry.fault !== undefined) deps.recovered(entry.fault.code, false, { destination: peer, ...about })
    }
    pumpSoon()
  }

  /** What was on disk when this process began may have been there before the backup was taken. */
  const isOld = ({ lane, sequence }: OutgoingMessage): boolean =>
    sequence < Math.max(frontier?.get(lane) ?? 0, deps.next.get(lane) ?? 0)

  /** What the former outbox had delivered is dropped, the rest gets numbers of this one. */
  const renew = async (former: { epoch: string; positions: WireAckRanges } | undefined): Promise<void> => {
    // Where the row of numbers was lost, they are taken for those of the outbox that the receiver knows.
    const isOurs =
      former === undefined || former.epoch === epoch || (epoch === '' && store.formerIds.includes(former.epoch))
    const processed = ackRangesOf(former?.positions ?? [])
    // Since the backup was taken it may have been moved, and processed elsewhere.
    const mayHaveMoved = (entry: OutgoingMessage): boolean =>
      entry.bound?.mayRebind === true &&
      isOld(entry) &&
      !isDone(processed.get(entry.lane) ?? newAckRanges(), entry.sequence)
    const found = await deadLetterUnknown(outgoing, bodies, isOurs ? mayHaveMoved : isOld, judgeOne, wall())
    if (!isOurs) {
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
      deps.removed(entry)
      if (!entry.isSkip) entry.onOutcome?.(undefined)
    }
    deps.count('renumbered', kept)
    port.log.warn('the outbox is another one than before; its messages to a peer have new numbers', {
      destination: peer,
      kept,
      gone: gone.length,
      known: former !== undefined && isOurs,
    })
  }

  const judgeAll = (entries: readonly OutgoingMessage[]): void => {
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
        await numbers.exclusive(() => renew(reply.former))
        if (isStopped || session !== mine) return
      }
      const positions = ackRangesOf(reply.positions)
      if (numbers.inUse() > 0 && isBehind(outgoing, positions))
        throw new ParleyError('COM003', 'messages are on their way to the disk', { hint: 'it greets again by itself' })
      const { lanes, failed: condemned } = catchUpNumbers(outgoing, positions, wall())
      if (lanes.length > 0)
        port.log.error('the outbox is older than what a peer has processed of it; messages may have been delivered', {
          destination: peer,
          lanes,
        })
      judgeAll(condemned)
      const done = outgoing.sessionOpened((lane, sequence) => {
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
    if (isStopped || outgoing.size() === 0 || now() < greetAt || numbers.isHeld()) return
    if (state === 'idle' || state === 'refused') void greet()
  }

  return {
    peer,
    row,
    state: () => state,
    breaker: () => gate.kind,
    isBusy: numbers.isHeld,
    ready: numbers.released,
    reserveNumber: (lane) => outgoing.reserveNumber(lane),
    createEntry(lane, sequence, { size, rank, policy, expiresAt, bound, onOutcome, body }) {
      numbers.acquire()
      const entry = newOutgoingMessage({
        lane,
        sequence,
        size,
        rank,
        policy,
        expiresAt,
        isSkip: false,
        bound,
        onOutcome,
      })
      bodies.keep(entry, body, false)
      return entry
    },
    enqueue(entry) {
      outgoing.enqueue(entry)
      numbers.release()
      if (state === 'up') pumpSoon()
      else greetIfDue()
    },
    discard(entry) {
      bodies.release(entry)
      numbers.release()
      // The receiver is not to wait for its number.
      entry.isSkip = true
      if (!isStopped) outgoing.enqueue(entry)
    },
    restore(lane, sequence, restored, about) {
      const policy = restored?.policy ?? settings.retry
      const expiresAt = restored?.expiresAt
      const isSkip = restored?.message === undefined
      outgoing.enqueue(
        newOutgoingMessage({ ...about, lane, sequence, policy, expiresAt, isSkip, onOutcome: undefined }),
      )
    },
    exclusive: numbers.exclusive,
    movable: () => outgoing.entries().filter(({ bound, isSkip }) => bound !== undefined && !isSkip),
    load: bodies.load,
    isUnknown: (entry) => epoch !== store.id && isOld(entry),
    withdraw(entries) {
      outgoing.withdraw(new Set(entries))
      for (const entry of entries) {
        bodies.release(entry)
        deps.removed(entry)
      }
      const changes: RowChange[] = entries.map(({ lane, sequence }) => ({
        key: outboxKey(peer, lane, sequence),
        value: undefined,
      }))
      // Numbers that a repair finds no rows of are not given again.
      return [...changes, { key: PEER_SENDERS + peer, value: row }]
    },
    peerJoined() {
      greetAt = 0
      greetDelayMs = FIRST_GREETING_MS
      greetIfDue()
    },
    peerLeft() {
      if (state === 'refused') return
      isLost ||= state === 'up' && outgoing.size() > 0
      state = 'idle'
      session = 0
      outgoing.sessionClosed()
      greetAt = now() + FIRST_GREETING_MS * deps.chance()
    },
    handleAckFrame(frame) {
      const answer = decodeAckFrame(frame)
      if (answer.session !== session) return
      if (state === 'idle' && answer.greet) {
        // It takes messages again, and says so before it is asked.
        greetAt = 0
        greetDelayMs = FIRST_GREETING_MS
        greetIfDue()
      }
      if (state !== 'up') return
      if (gate.recordSuccess()) pumpSoon()
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
      if (isStopped || outgoing.size() === 0 || numbers.isHeld()) return
      const { late, judged } = outgoing.tick(now(), wall())
      if (late > 0) {
        deps.count('late', late)
        gate.recordFailure()
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
