/**
 * What one node does until its mesh is founded: asks the peers how far they are, proposes when it is this node's turn, and
 * asks a promised set again until it is decided. Once this node belongs to a mesh it asks nothing any more.
 *
 * State: what peers announced (bounded); which questions are on their way; when the next proposal may be made.
 */
import { isParleyError, ParleyError } from '../../errors.ts'
import type { Stop } from '../../port.ts'
import { peerOf } from '../member-id.ts'
import type { FoundingDeps } from './api.ts'
import { type FoundingAnnouncement, foundingProtocol } from './contract.ts'
import type { DurableFounding } from './durable-founding.ts'
import { createFoundingAnnouncements, type FoundingPlan, ProposalTiming, planFounding } from './founding-plan.ts'
import type { Proposal } from './founding-record.ts'
import { type FoundingStatus, statusOf } from './founding-status.ts'
import { adoptMeshId, type FoundingState, meshIdIn, onAnswer, propose } from './founding-steps.ts'

/** Between two questions to the same peer. */
const ASK_MS = 1_000
/** A promise that is not decided by then needs somebody to look. */
const LATE_MS = 10_000

type Record = FoundingState['record']

export class FoundingRun {
  readonly #port: FoundingDeps['port']
  readonly #durable: DurableFounding
  /** As which this node votes now; the record's may be that of a disk that is lost. */
  readonly #member: string
  /** How many found the mesh together; undefined: this node never founds. */
  readonly #expect: number | undefined
  readonly #announcements = createFoundingAnnouncements(() => this.#now())
  readonly #timing = new ProposalTiming()
  readonly #listeners = new Set<(meshId: string) => void>()
  /** Members of the promised set whose peers came back without their disk. */
  readonly #lost = new Set<string>()
  /** Questions on their way, each to be asked once at a time. */
  readonly #asking = new Set<string>()
  readonly #ending = new AbortController()
  readonly #stops: Stop[] = []
  readonly #warned = new Set<'division' | 'late'>()
  readonly #counts = { proposed: 0, released: 0, unanswered: 0 }
  #stopAttempt: Stop = () => {}
  #promisedAtMs: number

  constructor(
    port: FoundingDeps['port'],
    durable: DurableFounding,
    { member, expect }: { readonly member: string; readonly expect: number | undefined },
  ) {
    this.#port = port
    this.#member = member
    this.#durable = durable
    this.#expect = expect
    this.#promisedAtMs = this.#now()
  }

  get record(): Record {
    return this.#durable.state().record
  }

  get meshId(): string | undefined {
    return meshIdIn(this.record)
  }

  status(): FoundingStatus {
    return statusOf(this.#durable.state(), { plan: this.#plan(), isLate: this.#isLate(), lost: this.#lost })
  }

  counts(): { proposed: number; released: number; unanswered: number; dropped: number } {
    return { ...this.#counts, dropped: this.#announcements.dropped() }
  }

  onMeshId(fn: (meshId: string) => void): Stop {
    this.#listeners.add(fn)
    return () => this.#listeners.delete(fn)
  }

  /** Looks for others, unless the mesh is founded already. */
  start(): void {
    if (!this.#isOpen()) return
    this.#stops.push(
      this.#port.timers.every(ASK_MS, () => this.#look()),
      this.#port.onMember(({ id }, change) => {
        const { promise } = this.record
        const member = this.#memberOf(id)
        if (change === 'left') this.#announcements.forget(id)
        else
          this.#quietly(promise !== undefined && member !== undefined ? this.#askFor(promise, member) : this.#ask(id))
      }),
    )
    this.#look()
  }

  stop(): void {
    this.#ending.abort(new ParleyError('STA003', 'this node is stopping', { details: { reason: 'closed' } }))
    this.#quiet()
  }

  /** How far this node is. */
  announcement(): FoundingAnnouncement {
    const { member, promise, highest } = this.record
    const meshId = this.meshId
    const expect = this.#expect
    const free = expect === undefined ? 'joiner' : 'candidate'
    return {
      state: meshId !== undefined ? 'founded' : promise !== undefined ? 'promised' : free,
      member,
      counter: highest.counter,
      ...(expect !== undefined && { expect }),
      ...(meshId !== undefined && { meshId }),
    }
  }

  /** What a peer says of itself. @throws MSG001 where it speaks for another one */
  onAnnouncement(peer: string, said: FoundingAnnouncement): void {
    if (peerOf(said.member) !== peer) {
      const hint = 'a node tells its own member id'
      throw new ParleyError('MSG001', `${peer} speaks for ${said.member}`, { hint })
    }
    if (!this.#isOpen()) return
    this.#announcements.put(peer, said)
    const { promise } = this.record
    const member = this.#memberOf(peer)
    const { meshId: theirs } = said
    if (theirs !== undefined) this.#quietly(this.#durable.apply((from) => adoptMeshId(from, theirs)))
    // It does not hold the promise: what it answers may decide.
    else if (promise !== undefined && member !== undefined && said.state !== 'promised')
      this.#quietly(this.#askFor(promise, member))
    this.#attempt()
  }

  /** What a change of the record brings with it. */
  onRecord(before: Record): void {
    const now = this.record
    if (meshIdIn(before) === undefined && meshIdIn(now) !== undefined) {
      this.#settle()
    } else if (before.promise === undefined && now.promise !== undefined) {
      this.#promisedAtMs = this.#now()
      this.#timing.unready()
      this.#askSet()
    } else if (before.promise !== undefined && now.promise === undefined) {
      this.#counts.released += 1
      this.#lost.clear()
      this.#warned.delete('late')
      if (before.promise.round.proposer === this.#member) this.#timing.onRefused(this.#now(), this.#draw())
      this.#askAll(0)
    }
  }

  #now(): number {
    return this.#port.clock.monotonic()
  }

  /** From 0 to 1. */
  #draw(): number {
    return new DataView(this.#port.random(4).slice().buffer).getUint32(0) / 2 ** 32
  }

  #isOpen(): boolean {
    return !this.#ending.signal.aborted && this.meshId === undefined
  }

  #isLate(): boolean {
    return this.record.promise !== undefined && this.#now() - this.#promisedAtMs >= LATE_MS
  }

  /** The member that this peer is, in the promised set. */
  #memberOf(peer: string): string | undefined {
    return this.record.promise?.set.find((one) => peerOf(one) === peer)
  }

  #plan(): FoundingPlan | undefined {
    const expect = this.#expect
    if (!this.#isOpen() || expect === undefined || this.record.promise !== undefined) return undefined
    // Who founds alone needs nobody.
    return planFounding({ ...this.announcement(), expect }, expect === 1 ? [] : this.#announcements.fresh())
  }

  /** Where nobody waits for the outcome: it comes up again. */
  #quietly(done: Promise<unknown>): void {
    done.catch((error: unknown) => {
      if (!isParleyError(error)) this.#port.log.error('a step of the founding failed', { error })
    })
  }

  /** This node belongs to a mesh now, for good. */
  #settle(): void {
    const { meshId } = this
    const { log } = this.#port
    if (meshId === undefined) return
    const { founded } = this.record
    log.info(founded === undefined ? 'this node belongs to a founded mesh' : 'the mesh is founded', {
      meshId,
      ...(founded !== undefined && { members: founded.members }),
    })
    for (const { id: peer } of this.#port.members())
      if (!this.#announcements.isFounded(peer)) this.#quietly(this.#ask(peer))
    this.#quiet()
    for (const fn of this.#listeners) {
      try {
        fn(meshId)
      } catch (error) {
        log.error('somebody who waited for the mesh id failed', { error })
      }
    }
    this.#listeners.clear()
  }

  #quiet(): void {
    this.#stopAttempt()
    for (const stop of this.#stops.splice(0)) stop()
    this.#announcements.clear()
  }

  #look(): void {
    const { log } = this.#port
    this.#askSet()
    this.#askAll(ASK_MS / 2)
    this.#attempt()
    if (!this.#isLate() || this.#warned.has('late')) return
    this.#warned.add('late')
    log.warn('the founding of the mesh does not get on', { problem: this.status().problem })
  }

  /** Proposes where it is this node's turn, or sees to it that this is looked at again then. */
  #attempt(): void {
    this.#stopAttempt()
    const plan = this.#plan()
    if (plan?.isDivided && !this.#warned.has('division')) {
      this.#warned.add('division')
      this.#port.log.warn('no mesh is founded', { problem: plan.problem })
    }
    const { set, rank } = plan ?? {}
    if (set === undefined || rank === undefined) {
      this.#timing.unready()
      return
    }
    const leftMs = this.#timing.leftMs(this.#now(), rank)
    if (leftMs > 0) this.#stopAttempt = this.#port.timers.after(leftMs, () => this.#attempt())
    else this.#quietly(this.#propose(set))
  }

  async #propose(set: readonly string[]): Promise<void> {
    const above = Math.max(0, ...this.#announcements.fresh().map(({ counter }) => counter))
    this.#timing.onProposed(this.#now())
    if ((await this.#durable.apply((from) => propose(from, set, above))) !== undefined) this.#counts.proposed += 1
  }

  async #once(question: string, run: () => Promise<void>): Promise<void> {
    if (this.#ending.signal.aborted || this.#asking.has(question)) return
    this.#asking.add(question)
    try {
      await run()
    } catch {
      this.#counts.unanswered += 1
    } finally {
      this.#asking.delete(question)
    }
  }

  #ask(peer: string): Promise<void> {
    return this.#once(`ask ${peer}`, async () => {
      const call = this.#port.to(peer, foundingProtocol)
      this.onAnnouncement(peer, await call.ask({ standing: this.announcement() }, { signal: this.#ending.signal }))
    })
  }

  /** @param ageMs whoever was heard of more lately is left out, as is whoever `#askSet` asks */
  #askAll(ageMs: number): void {
    for (const { id } of this.#port.members()) {
      if (this.#announcements.ageMs(id) >= ageMs && this.#memberOf(id) === undefined) this.#quietly(this.#ask(id))
    }
  }

  #askFor(proposal: Proposal, asked: string): Promise<void> {
    const peer = peerOf(asked)
    return this.#once(`propose ${proposal.round.counter} ${proposal.round.proposer} ${peer}`, async () => {
      const call = this.#port.to(peer, foundingProtocol)
      const answer = await call.propose(proposal, { signal: this.#ending.signal })
      if (peerOf(answer.member) !== peer) throw new ParleyError('MSG001', `${peer} speaks for ${answer.member}`)
      if (answer.member !== asked && this.record.promise !== undefined) this.#lost.add(asked)
      await this.#durable.apply((from) => onAnswer(from, proposal, answer))
    })
  }

  #askSet(): void {
    const { promised } = this.#durable.state()
    const { promise, member } = this.record
    for (const one of promise?.set ?? []) {
      if (promise !== undefined && one !== member && !promised.includes(one)) this.#quietly(this.#askFor(promise, one))
    }
  }
}
