/**
 * The messages of this node to one peer, on their way: the machine of send-window.ts over sessions, the store and the wire.
 *
 * A session begins with a greeting, in which the receiver says what it has processed; it ends with the connection
 * (outbox-session.ts). Where the outbox is another one than the numbers are of, the greeting says which one it takes the
 * place of (stale-outbox.ts).
 * State: the window, the session, which bodies are in memory (bounded over all peers).
 */
import { ParleyError } from '../../../errors.ts'
import { type AckRanges, ackRangesOf, isDone } from '../../ack-ranges.ts'
import { deliveryProtocol } from '../../contract.ts'
import { decodeAckFrame } from '../../delivery-frames.ts'
import { logFieldsOf } from '../../durable-message.ts'
import { type BreakerState, SessionBreaker } from '../../recovery/circuit-breaker.ts'
import { encodePeerSenderRow, type OutboxRow, outboxKey, PEER_SENDERS } from '../../store/delivery-rows.ts'
import type { RowChange } from '../../store/row-storage.ts'
import { newOutgoingMessage, type OutgoingMessage } from '../outgoing-message.ts'
import { type BodyCache, createBodyCache } from './body-cache.ts'
import { applyDeadLetterPolicy, type DeadLetterPolicyDeps } from './dead-letter-policy.ts'
import { createNumberLock } from './number-lock.ts'
import { isRefusal, OutboxSession } from './outbox-session.ts'
import { createOutboxTransmitter, type OutboxTransmitter } from './outbox-transmitter.ts'
import type { PeerSenderDeps, PeerSenderState } from './peer-sender-api.ts'
import { SendWindow } from './send-window.ts'
import { catchUpNumbers, type FormerOutbox, isBehind, renewOutbox } from './stale-outbox.ts'

const EXPIRY_MS = 1_000

export class PeerSender {
  readonly peer: string
  readonly #deps: PeerSenderDeps
  readonly #bodies: BodyCache
  readonly #deadLetterPolicy: DeadLetterPolicyDeps
  readonly #transmit: OutboxTransmitter
  readonly #breaker: SessionBreaker
  readonly #numbers = createNumberLock()
  readonly #session = new OutboxSession()
  #window: SendWindow<OutgoingMessage>
  /** Id of the outbox that the numbers are of. */
  #epoch: string
  /** Numbers below these may have been sent by the former outbox. */
  #frontier: ReadonlyMap<number, number> | undefined
  #isStopped = false
  #lookedForExpiryAt = 0
  #isPumpDue = false

  constructor(deps: PeerSenderDeps) {
    const { port, store, settings, memory, peer } = deps
    this.peer = peer
    this.#deps = deps
    this.#epoch = deps.epoch
    this.#frontier = deps.frontier
    this.#bodies = createBodyCache(peer, store, memory, settings.outboxMemoryBytes)
    this.#deadLetterPolicy = { ...deps, bodies: this.#bodies, isStopped: () => this.#isStopped }
    this.#transmit = createOutboxTransmitter({
      port,
      peer,
      bodies: this.#bodies,
      failed: (session, error) => {
        if (session === this.#session.number && !this.#isStopped) this.#broken(error)
      },
      isCurrent: (session) => session === this.#session.number && this.#session.isUp() && !this.#isStopped,
    })
    this.#breaker = new SessionBreaker(
      settings.breaker,
      () => port.clock.monotonic(),
      () => deps.count('breakerOpened'),
    )
    this.#window = new SendWindow<OutgoingMessage>(settings, deps.chance, deps.next)
  }

  #now(): number {
    return this.#deps.port.clock.monotonic()
  }

  #wall(): number {
    return this.#deps.port.clock.now()
  }

  /** The row of its numbers, as of when it is written. */
  readonly row = (): Uint8Array =>
    encodePeerSenderRow({ epoch: this.#epoch, next: this.#window.next(), frontier: this.#frontier })

  // Sending.

  readonly #pump = (): void => {
    this.#isPumpDue = false
    if (this.#isStopped || !this.#session.isUp()) return
    const most = this.#breaker.allowed()
    if (most === 0) return
    const entries = this.#window.nextToSend(this.#now(), most)
    if (entries.length === 0) return
    let again = 0
    for (const entry of entries) if (entry.attempts > 0) again += 1
    this.#deps.count('sent', entries.length - again)
    if (again > 0) this.#deps.count('resent', again)
    this.#transmit.send(this.#session.number, entries)
  }

  /** At the end of this turn: what is launched together goes together. */
  #pumpSoon(): void {
    if (this.#isPumpDue) return
    this.#isPumpDue = true
    queueMicrotask(this.#pump)
  }

  #delivered(entries: readonly OutgoingMessage[]): void {
    if (entries.length === 0) return
    const { store, count, recovered, removed } = this.#deps
    store.later(entries.map(({ lane, sequence }) => ({ key: outboxKey(this.peer, lane, sequence), value: undefined })))
    for (const entry of entries) {
      this.#bodies.release(entry)
      removed(entry)
      if (entry.isSkip) continue
      count('delivered')
      if (entry.fault !== undefined) recovered(entry.fault.code, true)
      entry.onOutcome?.(undefined)
    }
  }

  /** One that failed for good: its recovery, or the dead letters. */
  readonly #giveUp = async (entry: OutgoingMessage): Promise<void> => {
    const { peer, recovered } = this.#deps
    this.#numbers.acquire()
    const about = logFieldsOf(entry.body)
    const verdict = await applyDeadLetterPolicy(this.#deadLetterPolicy, entry)
    this.#numbers.release()
    if (this.#isStopped || verdict === 'none') return
    if (verdict === 'again') this.#window.retryAt(entry, this.#now())
    else {
      this.#window.skip(entry)
      if (entry.fault !== undefined) recovered(entry.fault.code, false, { destination: peer, ...about })
    }
    this.#pumpSoon()
  }

  #giveUpAll(entries: readonly OutgoingMessage[]): void {
    for (const entry of entries) void this.#giveUp(entry)
  }

  // Sessions.

  #broken(error: unknown): void {
    const { port, peer, chance } = this.#deps
    const { state } = this.#session
    if (state === 'up' || state === 'greeting') this.#window.sessionClosed()
    if (isRefusal(error)) {
      this.#session.refused(this.#now())
      port.log.error('a peer takes no messages of this node', { destination: peer, error })
    } else this.#session.broken(this.#now(), chance())
  }

  #greetIfDue(): void {
    if (this.#isStopped || this.#window.size() === 0 || this.#numbers.isHeld()) return
    if (this.#session.isDue(this.#now())) void this.#greet()
  }

  async #greet(): Promise<void> {
    const { port, peer, store, count } = this.#deps
    const number = 1 + Number(port.random(6).reduce((sum, byte) => sum * 256 + byte, 0))
    this.#session.greeting(number)
    count('sessions')
    const isOver = (): boolean => this.#isStopped || this.#session.number !== number
    try {
      const isRenewing = this.#epoch !== store.id
      const bases = isRenewing ? [] : [...this.#window.bases()].map(([lane, base]) => ({ lane, base }))
      const former = [...store.formerIds]
      const client = port.to(peer, deliveryProtocol)
      const reply = await client.hello({ epoch: store.id, former, isRenewing, session: number, bases })
      if (isOver()) return
      if (isRenewing) {
        await this.#numbers.exclusive(() => this.#renew(reply.former))
        if (isOver()) return
      }
      const positions = ackRangesOf(reply.positions)
      this.#catchUp(positions)
      this.#open(positions, reply.window)
    } catch (error) {
      if (!isOver()) this.#broken(error)
    }
  }

  /** @param former what the peer processed of the outbox that this one took the place of */
  async #renew(former: FormerOutbox | undefined): Promise<void> {
    const numbers = { epoch: this.#epoch, frontier: this.#frontier, isOld: this.#isOld }
    const deps = { ...this.#deps, bodies: this.#bodies, giveUp: this.#giveUp }
    const { window, gone } = await renewOutbox(deps, this.#window, numbers, former)
    this.#epoch = this.#deps.store.id
    this.#frontier = undefined
    this.#window = window
    for (const entry of gone) {
      this.#bodies.release(entry)
      this.#deps.removed(entry)
      if (!entry.isSkip) entry.onOutcome?.(undefined)
    }
  }

  /** Where the peer processed numbers that were never given here. @throws COM003 where some are just being given */
  #catchUp(positions: ReadonlyMap<number, AckRanges>): void {
    if (this.#numbers.inUse() > 0 && isBehind(this.#window, positions))
      throw new ParleyError('COM003', 'messages are on their way to the disk', { hint: 'it greets again by itself' })
    const { lanes, failed } = catchUpNumbers(this.#window, positions, this.#wall())
    if (lanes.length > 0)
      this.#deps.port.log.error(
        'the outbox is older than what a peer has processed of it; messages may have been delivered',
        { destination: this.peer, lanes },
      )
    this.#giveUpAll(failed)
  }

  #open(positions: ReadonlyMap<number, AckRanges>, window: number): void {
    const done = this.#window.sessionOpened((lane, sequence) => {
      const position = positions.get(lane)
      return position !== undefined && isDone(position, sequence)
    }, window)
    if (this.#session.opened()) this.#deps.recovered('COM002', true)
    this.#breaker.reset()
    this.#delivered(done)
    this.#pump()
  }

  peerJoined(): void {
    this.#session.greetSoon()
    this.#greetIfDue()
  }

  peerLeft(): void {
    if (this.#session.state === 'refused') return
    this.#session.peerLeft(this.#window.size() > 0, this.#now(), this.#deps.chance())
    this.#window.sessionClosed()
  }

  handleAckFrame(frame: Uint8Array): void {
    const answer = decodeAckFrame(frame)
    if (answer.session !== this.#session.number) return
    if (this.#session.state === 'idle' && answer.greet) {
      // It takes messages again, and says so before it is asked.
      this.#session.greetSoon()
      this.#greetIfDue()
    }
    if (!this.#session.isUp()) return
    if (this.#breaker.recordSuccess()) this.#pumpSoon()
    if (answer.greet) {
      this.#broken(undefined)
      this.#session.greetNow(this.#now())
      this.#greetIfDue()
      return
    }
    const window = this.#window
    window.setWindow(answer.window)
    for (const { lane, sequences } of answer.acked) this.#delivered(window.acked(lane, sequences))
    for (const { lane, sequence, fault } of answer.failed) {
      this.#deps.count('failedAttempts')
      const failed = window.failed(lane, sequence, fault, this.#now(), this.#wall())
      if (failed !== undefined) void this.#giveUp(failed)
    }
    for (const { lane, sequences } of answer.held) window.held(lane, sequences, this.#now())
    // A peer that lost power has forgotten what it acknowledged, and waits for it.
    for (const { lane, sequences } of answer.missing)
      this.#transmit.skip(this.#session.number, lane, window.missing(lane, sequences))
    this.#pump()
  }

  tick(): void {
    if (this.#isStopped || this.#window.size() === 0 || this.#numbers.isHeld()) return
    const nowMs = this.#now()
    const { late, failed } = this.#window.tick(nowMs, this.#wall())
    if (late > 0) {
      this.#deps.count('late', late)
      this.#breaker.recordFailure()
    }
    this.#giveUpAll(failed)
    if (nowMs - this.#lookedForExpiryAt >= EXPIRY_MS) {
      this.#lookedForExpiryAt = nowMs
      this.#giveUpAll(this.#window.expired(this.#wall()))
    }
    if (this.#session.isUp()) this.#pump()
    else this.#greetIfDue()
  }

  // What comes into the outbox, and goes elsewhere.

  reserveNumber(lane: number): number {
    return this.#window.reserveNumber(lane)
  }

  createEntry(
    lane: number,
    sequence: number,
    about: Pick<OutgoingMessage, 'size' | 'rank' | 'policy' | 'expiresAt' | 'bound' | 'onOutcome'> & {
      readonly body: Uint8Array
    },
  ): OutgoingMessage {
    const { size, rank, policy, expiresAt, bound, onOutcome, body } = about
    this.#numbers.acquire()
    const isSkip = false
    const entry = newOutgoingMessage({ lane, sequence, size, rank, policy, expiresAt, isSkip, bound, onOutcome })
    this.#bodies.keep(entry, body, false)
    return entry
  }

  /** It is durable. */
  enqueue(entry: OutgoingMessage): void {
    this.#window.enqueue(entry)
    this.#numbers.release()
    if (this.#session.isUp()) this.#pumpSoon()
    else this.#greetIfDue()
  }

  /** It was numbered, and is not kept; its place goes as one that is skipped. */
  discard(entry: OutgoingMessage): void {
    this.#bodies.release(entry)
    this.#numbers.release()
    // The receiver is not to wait for its number.
    entry.isSkip = true
    if (!this.#isStopped) this.#window.enqueue(entry)
  }

  /** From disk, in the order of the keys. */
  restore(
    lane: number,
    sequence: number,
    row: OutboxRow | undefined,
    about: Pick<OutgoingMessage, 'size' | 'rank' | 'bound'>,
  ): void {
    const policy = row?.policy ?? this.#deps.settings.retry
    const expiresAt = row?.expiresAt
    const isSkip = row?.message === undefined
    this.#window.enqueue(
      newOutgoingMessage({ ...about, lane, sequence, policy, expiresAt, isSkip, onOutcome: undefined }),
    )
  }

  /** Has all its numbers alone for a while: none is given, no message is given up or sent. @throws what `work` throws */
  exclusive<R>(work: () => Promise<R>): Promise<R> {
    return this.#numbers.exclusive(work)
  }

  /** Messages to a capability, in the order of their numbers. */
  movable(): OutgoingMessage[] {
    return this.#window.entries().filter(({ bound, isSkip }) => bound !== undefined && !isSkip)
  }

  /** Their bytes are in memory afterwards, where their rows are there. */
  load(entries: readonly OutgoingMessage[]): Promise<void> {
    return this.#bodies.load(entries)
  }

  /** What was on disk when this process began may have been there before the backup was taken. */
  readonly #isOld = ({ lane, sequence }: OutgoingMessage): boolean =>
    sequence < Math.max(this.#frontier?.get(lane) ?? 0, this.#deps.next.get(lane) ?? 0)

  /** The outbox was set back since it was sent first: what became of it is not known. */
  isUnknown(entry: OutgoingMessage): boolean {
    return this.#epoch !== this.#deps.store.id && this.#isOld(entry)
  }

  /** Takes them out, in the turn in which the changes are handed over: their numbers stand for nothing any more. */
  withdraw(entries: readonly OutgoingMessage[]): RowChange[] {
    this.#window.withdraw(new Set(entries))
    for (const entry of entries) {
      this.#bodies.release(entry)
      this.#deps.removed(entry)
    }
    const changes: RowChange[] = entries.map(({ lane, sequence }) => ({
      key: outboxKey(this.peer, lane, sequence),
      value: undefined,
    }))
    // Numbers that a repair finds no rows of are not given again.
    return [...changes, { key: PEER_SENDERS + this.peer, value: this.row }]
  }

  // What is seen of it.

  state(): PeerSenderState {
    return this.#session.state
  }

  breaker(): BreakerState['kind'] {
    return this.#breaker.kind
  }

  /** Nothing may be numbered for now. */
  isBusy(): boolean {
    return this.#numbers.isHeld()
  }

  ready(): Promise<void> {
    return this.#numbers.released()
  }

  size(): number {
    return this.#window.size()
  }

  inFlight(): number {
    return this.#window.inWindow()
  }

  /** What is on its way or waits to be. */
  waiting(): readonly OutgoingMessage[] {
    return this.#window.entries().filter(({ isSkip }) => !isSkip)
  }

  stop(): void {
    this.#isStopped = true
    for (const entry of this.#window.entries()) this.#bodies.release(entry)
  }
}
