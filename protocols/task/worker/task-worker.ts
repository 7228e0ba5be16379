/**
 * This node as a worker: it says what it does, keeps its lease, and makes an attempt at each task that it is given.
 *
 * A lease is counted from before it was asked for, by both of this node's clocks: a machine that was suspended finds that it is
 * over. Then all attempts end and are given back; the node registers again. State: what it does, its registration, its attempts.
 */
import { checkedInput } from '../../checked-input.ts'
import { isParleyError, ParleyError, stateError } from '../../errors.ts'
import { type LeaseTime, leaseAge, leaseTime } from '../../journal/client/lease-age.ts'
import { compareFences, type Fence } from '../../journal/fencing/fence.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import type { Port, Stop } from '../../port.ts'
import { createRegistration, type Registration } from '../../registration.ts'
import type { WorkOptions } from '../api.ts'
import type { TaskBatcher } from '../client/task-decisions.ts'
import type { FeedTask } from '../contract.ts'
import { LEASE_MS } from '../scheduler/worker-table.ts'
import { type TaskRecord, type WorkerOffer, WorkerOfferSchema } from '../task-record.ts'
import type { AgentWork } from '../tasks-for-plans.ts'
import type { AttemptDeps } from './attempt-deps.ts'
import { claimedWork, type HeldClaim } from './claimed-work.ts'
import { TaskAttempt } from './task-attempt.ts'
import type { WorkFunction } from './task-context.ts'

const RENEW_MS = 10_000
const AGAIN_MS = 500
/** A worker that waits for a coordinator says so. */
const TELL_MS = 30_000
const DEFAULT_SLOTS = 16
/** A node that stops waits so long for a decision that nobody may be there to make. Milliseconds. */
const STOPPING_MS = 1_000
const MAX_TYPES = 256
const MAX_EARLY = 10_000
const MAX_MADE = 10_000

export interface WorkerDeps extends AttemptDeps {
  /** Leases are measured by it, and attempts by the clock of the port. */
  readonly leaseClock: Port['clock']
  readonly batcher: Pick<TaskBatcher, 'decide'>
  /** Resolves once this node hears of its tasks. */
  live(): Promise<void>
  /** More rows of a task than it was told with. */
  readRows(id: string): Promise<Map<string, Json>>
  /** What was allocated for a task at this node. @throws STA001 where it is not told of it in time */
  claim(id: string, options: { readonly signal: AbortSignal }): Promise<HeldClaim>
}

interface Work {
  readonly offer: WorkerOffer
  readonly fn: WorkFunction
}

const statusText = ({ status, reason }: TaskRecord): string => (reason === undefined ? status : `${status} (${reason})`)

export class TaskWorker {
  readonly #deps: WorkerDeps
  readonly #works = new Map<string, Work>()
  readonly #attempts = new Map<string, TaskAttempt>()
  readonly #running = new Set<Promise<void>>()
  /** Attempts that were begun, with the newest fence of each task. */
  readonly #made = new Map<string, Fence>()
  /** Tasks that were told before this node knew its registration. */
  readonly #early = new Map<string, FeedTask>()
  #registration: number | undefined
  #lease: LeaseTime | undefined
  #busy: Promise<void> = Promise.resolve()
  #stopTimer: Stop | undefined
  #isRenewing = false
  #isDraining = false
  #isStopped = false

  constructor(deps: WorkerDeps) {
    this.#deps = deps
  }

  attempts(): number {
    return this.#attempts.size
  }

  /** What it takes, and has in work, for plans. */
  agentWork(): AgentWork {
    const offers = this.#isStopped
      ? []
      : [...this.#works.values()].map(({ offer: { type, slots } }) => ({ type, slots }))
    return { offers, tasks: [...this.#attempts.keys()], isDraining: this.#isDraining || this.#isStopped }
  }

  async work(
    type: string,
    fn: WorkFunction,
    { slots = DEFAULT_SLOTS, versions, attemptTimeoutMs }: WorkOptions = {},
  ): Promise<Registration> {
    if (this.#isStopped) throw stateError('closed', 'this node is stopping', 'start it again')
    const offer = {
      ...{ type, slots },
      ...(versions !== undefined && { versions: [...versions] }),
      ...(attemptTimeoutMs !== undefined && { attemptTimeoutMs }),
    }
    checkedInput(WorkerOfferSchema, offer, `work of the type ${JSON.stringify(type)} cannot be offered so`)
    if (this.#works.has(type))
      throw stateError('in-use', `this node works on tasks of the type ${type} already`, 'stop that first')
    if (this.#works.size >= MAX_TYPES)
      throw new ParleyError('COM003', `this node works on ${MAX_TYPES} types already`, { hint: 'use another node' })
    const work = { fn, offer }
    this.#works.set(type, work)
    const { timers, log } = this.#deps.port
    const stopTelling = timers.every(TELL_MS, () =>
      log.warn('this worker waits for somebody who coordinates', { hint: 'is a node with a data directory there?' }),
    )
    try {
      await this.#deps.live()
      await this.#register()
    } catch (error) {
      this.#works.delete(type)
      throw error
    } finally {
      stopTelling()
    }
    this.#stopTimer ??= this.#deps.port.timers.every(RENEW_MS / 10, () => void this.#keepLease())
    return createRegistration(async () => {
      if (this.#works.get(type) !== work) return
      this.#works.delete(type)
      await this.#register().catch(() => {})
      const given = [...this.#attempts.values()].filter((attempt) => attempt.type === type)
      await Promise.all(given.map((attempt) => attempt.release('its worker does no such tasks any more')))
    })
  }

  /** A task of this node changed. */
  onTask(task: FeedTask): void {
    const { id, record, work } = task
    const attempt = this.#attempts.get(id)
    const { self } = this.#deps.port
    const mine = this.#registration
    if (mine === undefined) {
      if (this.#works.size > 0 && record?.worker === self.id && this.#early.size < MAX_EARLY) this.#early.set(id, task)
      return
    }
    // One that is newer than its own is told before it is answered.
    const isMine = record?.worker === self.id && record.fence !== undefined && (record.registration ?? 0) >= mine
    const isInWork = record?.status === 'assigned' || record?.status === 'running'
    const fence = isMine && isInWork ? record.fence : undefined
    if (attempt !== undefined && fence !== undefined && compareFences(attempt.fence, fence) === 0) return
    attempt?.abandon(record === undefined ? 'it has ended' : `it is ${statusText(record)}`)
    // What is told late of an attempt that was made must not make it again.
    if (record === undefined || fence === undefined || this.#isMade(id, fence)) return
    if (record.status === 'assigned') void this.#begin(id, record, fence, work)
    else void this.#giveBack({ id, fence }, 'its worker does not know it')
  }

  /** All tasks of this node were told: others are not its any more. */
  onReset(ids: ReadonlySet<string>): void {
    for (const [id, attempt] of this.#attempts)
      if (!ids.has(id)) attempt.abandon('it has ended, or was given to another')
  }

  /** It takes nothing new, and ends what it has in work. @param leftMs milliseconds until it is given back */
  async drain(leftMs: number): Promise<void> {
    if (this.#works.size === 0 || this.#isDraining) return
    this.#isDraining = true
    const { timers } = this.#deps.port
    const after = (ms: number): Promise<void> => new Promise((resolve) => timers.after(ms, resolve))
    const over = after(leftMs)
    await Promise.race([this.#register().catch(() => {}), over, after(STOPPING_MS)])
    await Promise.race([Promise.all(this.#running), over])
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#stopTimer?.()
    await Promise.all([...this.#attempts.values()].map((attempt) => attempt.release('its worker stopped')))
    const registration = this.#registration
    if (registration === undefined) return
    this.#registration = undefined
    const { timers } = this.#deps.port
    const limit = new AbortController()
    const stop = timers.after(STOPPING_MS, () => limit.abort(new Error('nobody decides')))
    await this.#deps.batcher.decide({ do: 'withdraw', registration }, { signal: limit.signal }).catch(() => {})
    stop()
  }

  /** One after the other. */
  #register(): Promise<void> {
    const next = this.#busy.then(() => this.#registerNow())
    this.#busy = next.catch(() => {})
    return next
  }

  async #registerNow(): Promise<void> {
    const { port, batcher } = this.#deps
    const asked = leaseTime(this.#deps.leaseClock)
    const offers = [...this.#works.values()].map(({ offer }) => offer)
    const { incarnation } = port.self
    const { result } = await batcher.decide({ do: 'register', offers, incarnation, draining: this.#isDraining })
    const { registration } = result as unknown as { registration: number }
    this.#registration = registration
    this.#lease = asked
    const early = [...this.#early.values()]
    this.#early.clear()
    for (const task of early) this.onTask(task)
  }

  async #keepLease(): Promise<void> {
    const lease = this.#lease
    if (lease === undefined || this.#isStopped) return
    const age = leaseAge(this.#deps.leaseClock, lease)
    if (age > LEASE_MS) this.#abandonAll('its lease is over')
    if (age < RENEW_MS || this.#isRenewing) return
    this.#isRenewing = true
    try {
      await this.#renew()
    } catch (error) {
      if (!this.#isStopped)
        this.#deps.port.log.warn('the lease of this worker was not renewed; it is tried again', { error })
      await new Promise<void>((resolve) => this.#deps.port.timers.after(AGAIN_MS, resolve))
    } finally {
      this.#isRenewing = false
    }
  }
  async #renew(): Promise<void> {
    const registration = this.#registration
    const asked = leaseTime(this.#deps.leaseClock)
    try {
      if (registration === undefined) return await this.#register()
      await this.#deps.batcher.decide({ do: 'renew', registration })
      if (this.#registration === registration) this.#lease = asked
    } catch (error) {
      if (!isParleyError(error, 'STA002')) throw error
      this.#abandonAll('its lease was over')
      await this.#register()
    }
  }

  #abandonAll(why: string): void {
    for (const attempt of this.#attempts.values()) this.#end(attempt, why)
  }

  #end(attempt: TaskAttempt, why: string): void {
    if (attempt.abandon(why)) void attempt.giveBackRest().then(() => this.#giveBack(attempt, why))
  }

  #isMade(id: string, { term, index }: Fence): boolean {
    const made = this.#made.get(id)
    return made !== undefined && compareFences(made, { term, index }) >= 0
  }

  #noteMade(id: string, fence: Fence): void {
    this.#made.delete(id)
    this.#made.set(id, fence)
    const [oldest] = this.#made.keys()
    if (this.#made.size > MAX_MADE && oldest !== undefined) this.#made.delete(oldest)
  }

  /** Until it is decided, or counts no more. */
  async #giveBack({ id, fence }: Pick<TaskAttempt, 'id' | 'fence'>, reason: string): Promise<void> {
    const { port, batcher } = this.#deps
    while (!this.#isStopped) {
      try {
        return void (await batcher.decide({ do: 'release', id, fence, reason }))
      } catch (error) {
        if (!isParleyError(error, 'COM001', 'COM002', 'COM003')) return
        await new Promise<void>((resolve) => port.timers.after(AGAIN_MS, resolve))
      }
    }
  }

  /** It was placed by what this node offered: it may offer another version by now. */
  #workFor({ type, typeVersion }: TaskRecord): Work | undefined {
    const work = this.#works.get(type)
    return typeVersion === undefined || work?.offer.versions?.includes(typeVersion) === true ? work : undefined
  }

  #workOf(attempt: TaskAttempt, { allocation }: TaskRecord, { fn }: Work): WorkFunction {
    if (allocation === undefined) return fn
    const giveBack = (why: string): void => this.#end(attempt, why)
    return claimedWork(fn, { claim: (signal) => this.#deps.claim(allocation, { signal }), giveBack })
  }

  async #begin(id: string, record: TaskRecord, fence: Fence, work: FeedTask['work']): Promise<void> {
    const doing = this.#workFor(record)
    if (this.#isStopped) return
    this.#noteMade(id, fence)
    const { port } = this.#deps
    try {
      const told = new Map((work?.rows ?? []).map(({ key, value }) => [key, value] as const))
      const rows = work === undefined || work.more ? await this.#deps.readRows(id) : told
      const attempt = new TaskAttempt(this.#deps, { id, record, fence, rows })
      if (doing === undefined) return await this.#giveBack(attempt, 'its worker does no such tasks any more')
      this.#attempts.set(id, attempt)
      const running = attempt.run(this.#workOf(attempt, record, doing)).finally(() => {
        if (this.#attempts.get(id) === attempt) this.#attempts.delete(id)
        this.#running.delete(running)
      })
      this.#running.add(running)
    } catch (error) {
      port.log.warn('a task that this node was given could not be begun; another one gets it', { task: id, error })
      await this.#giveBack({ id, fence }, 'it could not be begun')
    }
  }
}
