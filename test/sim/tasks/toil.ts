/**
 * What simulated workers do: effects, a checkpoint, a sleep, a wait for a word, a child, as the plan of a task says. They check
 * what each attempt is promised. State: what attempts were told before, of all workers.
 */
import { isParleyError } from '../../../protocols/errors.ts'
import type { Json } from '../../../protocols/journal/state/command-kind.ts'
import type { Stop } from '../../../protocols/port.ts'
import type { Claim } from '../../../protocols/resource/api.ts'
import type { ResourcesFeature } from '../../../protocols/resource/resources.ts'
import type { TaskValue } from '../../../protocols/task/bytes/stored-bytes.ts'
import type { TaskContext, WorkItem } from '../../../protocols/task/worker/task-context.ts'
import type { JournalNode } from '../../support/journal-mesh.ts'
import { bytesOf, isBytesOf, padOf } from './bytes/large-values.ts'
import { CAPACITY } from './node-tasks.ts'
import { EFFECTS, LATE, PART, type TaskPlan, WORD } from './plan.ts'
import { Sink } from './sink.ts'
import { Spending } from './spending.ts'

/** Of attempts with requirements: their node gives up what it has for them. */
const RELEASED_SHARE = 0.05
/** Within so many milliseconds of the end of what an attempt requires, it has ended. */
const ENDS_MS = 20

const waitsForParent = (number: number): boolean => number % 2 === 0

interface Lone {
  readonly node: JournalNode
  readonly signal: AbortSignal
  /** It asked to end here, and does nothing until that is answered: it may be decided before. */
  isResting: boolean
}

interface Begun {
  /** When the first attempt came to it. */
  readonly since: number
  isOver: boolean
}

export class Toil {
  readonly sink = new Sink()
  /** Tasks that somebody paused: who resumes one does not wait for who had it. */
  readonly paused = new Set<string>()
  /** What is wrong. */
  readonly problems: string[] = []
  readonly spending: Spending
  readonly counts = { again: 0, slept: 0, given: 0, late: 0, children: 0, needy: 0, givenUp: 0, alone: 0 }
  readonly #random: () => number
  readonly #sleeps = new Map<string, Begun>()
  readonly #waits = new Map<string, number>()
  readonly #words = new Map<string, string>()
  /** By process, what each attempt that it works on requires. */
  readonly #using = new Map<JournalNode, Map<string, number>>()
  /** By process, what it knows to have been given for which task. */
  readonly #claims = new Map<JournalNode, Map<string, Claim[]>>()
  readonly #release = new Map<JournalNode, (id: string) => Promise<void>>()
  /** Who works, or worked, on each task on which nobody else may. */
  readonly #alone = new Map<string, Lone>()
  readonly #shorterMs: number
  #runs = 0

  /** @param shorterMs milliseconds that a wait may be shorter than it was to be */
  constructor(random: () => number, shorterMs: number) {
    this.#random = random
    this.#shorterMs = shorterMs
    this.spending = new Spending(random, this.problems)
  }

  /** What this node knows that it gives. */
  hearClaims(node: JournalNode, resources: Pick<ResourcesFeature, 'onClaim' | 'release'>): void {
    const claims = new Map<string, Claim[]>()
    this.#claims.set(node, claims)
    this.#release.set(node, (id) => resources.release(id))
    resources.onClaim((claim) => {
      const { task = '' } = claim
      claims.set(task, [...(claims.get(task) ?? []).filter(({ signal }) => !signal.aborted), claim])
    })
  }

  /** As the plan in its input says. */
  async sum(node: JournalNode, item: WorkItem, ctx: TaskContext): Promise<Json> {
    const { needs = 0, isAlone = false } = item.input as TaskPlan
    const leave = isAlone ? this.#beAlone(node, item.id, ctx) : () => {}
    const stop = needs > 0 ? this.#use(node, item.id, needs, ctx) : () => {}
    try {
      return await this.#sum(node, item, ctx)
    } finally {
      stop()
      leave()
    }
  }

  async #sum(node: JournalNode, { id, input, attempt, checkpoint }: WorkItem, ctx: TaskContext): Promise<Json> {
    const plan = input as TaskPlan & { readonly pad?: string }
    if (attempt > 1) this.counts.again += 1
    const { number, large } = plan
    if (plan.pad !== (large === 'input' ? padOf('input', number) : undefined)) this.problems.push(`${id}: wrong input`)
    const saved = this.#savedSum(id, plan, checkpoint)
    // Who cheats cannot draw for a child.
    const spendsNothing = plan.hasChild !== true && this.spending.cheats(node, id, ctx)
    let sum = saved ?? number
    for (let i = saved === undefined ? 0 : 2; i < EFFECTS; i += 1) {
      await this.#pass(node, 150)
      if (!spendsNothing) await this.spending.some(id, ctx)
      if (i === 1 && plan.sleepMs !== undefined) await this.#sleep(node, id, plan.sleepMs, ctx)
      sum += await this.#effect(node, id, i, ctx, large === 'effect' && i === 1 ? number : undefined)
      if (i === 1 && plan.saves === true)
        await ctx.checkpoint(large === 'checkpoint' ? { sum, pad: padOf('checkpoint', number) } : sum)
    }
    const word = plan.waitMs === undefined ? {} : { word: await this.#wait(node, id, plan.waitMs, ctx) }
    const part = plan.hasChild === true ? { part: await this.#child(node, id, plan, ctx) } : {}
    if (plan.isBroken === true) throw new Error('it fails each time')
    const pad = large === 'result' ? { pad: padOf('result', number) } : {}
    return { sum, ...part, fence: ctx.fence.index, ...word, ...pad }
  }

  /** Whoever worked on it before cannot go on. */
  #beAlone(node: JournalNode, id: string, { signal }: TaskContext): Stop {
    const before = this.#alone.get(id)
    const isHeld = this.paused.has(id)
    const isWorking = before?.node.isUp() === true && !before.isResting && !before.signal.aborted
    if (!isHeld && isWorking && before.node !== node)
      this.problems.push(`${before.node.name} and ${node.name} work on ${id} at once`)
    const now: Lone = { node, signal, isResting: false }
    this.#alone.set(id, now)
    this.counts.alone += 1
    return () => {
      if (this.#alone.get(id) === now) this.#alone.delete(id)
    }
  }

  async #resting<T>(id: string, wait: () => Promise<T>): Promise<T> {
    const own = this.#alone.get(id)
    if (own !== undefined) own.isResting = true
    try {
      return await wait()
    } finally {
      if (own !== undefined) own.isResting = false
    }
  }

  /** What it requires, for as long as it may work. */
  #use(node: JournalNode, id: string, needs: number, { signal }: TaskContext): Stop {
    const using = this.#using.get(node) ?? new Map<string, number>()
    this.#using.set(node, using)
    const key = `${id} ${this.#runs}`
    this.#runs += 1
    using.set(key, needs)
    this.counts.needy += 1
    // A coordinator that was lost may have allocated it once more: that is given back, and this goes on.
    const claims = (this.#claims.get(node)?.get(id) ?? []).filter(({ signal: { aborted } }) => !aborted)
    if (claims.length === 0)
      this.problems.push(`${node.name} begins ${id}, and does not know that it was given what that requires`)
    const look = (): void => {
      if (using.has(key) && claims.every((claim) => claim.signal.aborted))
        this.problems.push(`${node.name} works on ${id}, and what that requires has ended`)
    }
    for (const claim of claims) claim.signal.addEventListener('abort', () => node.port.timers.after(ENDS_MS, look))
    const last = claims.at(-1)
    if (last !== undefined && this.#random() < RELEASED_SHARE) this.#releaseSoon(node, last.id)
    const stop = (): void => void using.delete(key)
    signal.addEventListener('abort', stop)
    const all = [...using.values()].reduce((sum, one) => sum + one, 0)
    if (all > CAPACITY.cpu) this.problems.push(`${node.name} works with ${all} cpu, and has ${CAPACITY.cpu}`)
    return stop
  }

  /** As a program of this node may do, for whatever reason. */
  #releaseSoon(node: JournalNode, id: string): void {
    this.counts.givenUp += 1
    const release = (): void =>
      void this.#release
        .get(node)?.(id)
        .catch(() => {})
    node.port.timers.after(this.#random() * 150, release)
  }

  /** @returns how far an attempt before was; undefined: it saved nothing */
  #savedSum(id: string, { number, large }: TaskPlan, checkpoint: Json | undefined): number | undefined {
    if (large !== 'checkpoint' || checkpoint === undefined) return checkpoint as number | undefined
    const { sum, pad } = checkpoint as { readonly sum: number; readonly pad: string }
    if (pad !== padOf('checkpoint', number)) this.problems.push(`${id}: wrong checkpoint`)
    return sum
  }

  /** What a child does. */
  async part(node: JournalNode, { id, input, attempt }: WorkItem, ctx: TaskContext): Promise<Json> {
    if (attempt > 1) this.counts.again += 1
    await this.#pass(node, 100)
    await this.spending.asChild(id, ctx)
    const number = Number(input)
    const value = await this.#effect(node, id, number - 1, ctx)
    // Nobody but its parent gives it the word.
    if (waitsForParent(number)) await ctx.waitFor(WORD)
    return number + value
  }

  #pass(node: JournalNode, mostMs: number): Promise<void> {
    return new Promise((resolve) => node.port.timers.after(this.#random() * mostMs, resolve))
  }

  /** @param large number of the task, where its value is a large one */
  async #effect(node: JournalNode, id: string, at: number, ctx: TaskContext, large?: number): Promise<number> {
    const name = `e${at}`
    const value = await ctx.effect<TaskValue>(name, async (facts) => {
      const wrong = this.sink.run(id, facts)
      if (wrong !== undefined) this.problems.push(wrong)
      await this.#pass(node, 30)
      return large === undefined ? at + 1 : bytesOf(large)
    })
    this.sink.recorded(`${id}/${name}`)
    if (large === undefined ? value !== at + 1 : !isBytesOf(large, value))
      this.problems.push(`${id}/${name}: wrong value`)
    return at + 1
  }

  async #sleep(node: JournalNode, id: string, ms: number, ctx: TaskContext): Promise<void> {
    const { clock } = node.port
    const asked = clock.monotonic()
    const begun = this.#sleeps.get(id) ?? { since: asked, isOver: false }
    this.#sleeps.set(id, begun)
    const wasOver = begun.isOver
    await this.#resting(id, () => ctx.sleep('nap', ms))
    const now = clock.monotonic()
    if (now - begun.since < ms - this.#shorterMs)
      this.problems.push(`${id} slept ${now - begun.since} ms and not ${ms}`)
    if (wasOver && now - asked > this.#shorterMs) this.problems.push(`${id} slept again`)
    begun.isOver = true
    this.counts.slept += 1
  }

  async #wait(node: JournalNode, id: string, ms: number, ctx: TaskContext): Promise<string> {
    const { clock } = node.port
    const since = this.#waits.get(id) ?? clock.monotonic()
    this.#waits.set(id, since)
    const before = this.#words.get(id)
    try {
      const patience = ms > 0 ? { timeoutMs: ms } : ({ status: 'auth_required' } as const)
      const word = String(await this.#resting(id, () => ctx.waitFor(WORD, patience)))
      const first = before ?? this.#words.get(id)
      if (first !== undefined && first !== word) this.problems.push(`${id} was given ${first}, and then ${word}`)
      this.#words.set(id, word)
      this.counts.given += 1
      return word
    } catch (error) {
      if (ctx.signal.aborted || !isParleyError(error, 'COM001')) throw error
      const waited = clock.monotonic() - since
      if (ms === 0 || waited < ms - this.#shorterMs) this.problems.push(`${id} gave up after ${waited} ms of ${ms}`)
      if (before !== undefined) this.problems.push(`${id} was given ${before}, and then nothing`)
      this.counts.late += 1
      return LATE
    }
  }

  async #child(node: JournalNode, id: string, { number, isBroken }: TaskPlan, ctx: TaskContext): Promise<number> {
    const budget = await this.spending.forChild(id, ctx)
    const child = await ctx.submit(PART, {
      type: PART,
      input: number,
      retry: { max: 2, delayMs: 100, maxDelayMs: 500 },
      ...budget,
    })
    if (waitsForParent(number)) {
      if (isBroken === true) throw new Error('it fails before it gives the word')
      await this.#pass(node, 200)
      await child.signal(WORD, number).catch((error: unknown) => {
        // Another attempt gave it, and it has ended.
        if (!isParleyError(error, 'STA003')) throw error
      })
    }
    const result = Number(await child.result({ signal: ctx.signal }))
    this.counts.children += 1
    return result
  }
}
