/**
 * The search for an order: Wing and Gong, "Testing and verifying concurrent objects", 1993, with Lowe's pruning, "Testing
 * for linearizability", 2017: a configuration, that is the operations that were placed and the state after them, is looked
 * at once, however it was reached.
 *
 * The next operation to be placed is one that was called before the first return that is left. Where none of them leads
 * on, that return ends the way, and the last placed operation is put back. A read that fits is placed at once, and nothing
 * else is tried there: placed later it would explain no more.
 *
 * Operations without a return are tried last, and a configuration is left alone if it was seen before with fewer of them
 * used up: whatever may come after it may come after that one too.
 *
 * State: the way that is being tried; the configurations that were seen, at most one for each step of the budget.
 */
import type { Model, Operation } from './linearizability.ts'
import { createLost, type LostMove } from './linearizability-lost.ts'
import { type Called, type Event, lift, timelineOf, unlift } from './linearizability-timeline.ts'

/** A bit for each operation. */
type Bits = Uint32Array

const bitsFor = (count: number): Bits => new Uint32Array((count + 31) >>> 5)
const has = (bits: Bits, index: number): boolean => (((bits[index >>> 5] ?? 0) >>> (index & 31)) & 1) === 1
const flip = (bits: Bits, index: number): void => {
  bits[index >>> 5] = (bits[index >>> 5] ?? 0) ^ (1 << (index & 31))
}
const isWithin = (some: Bits, all: Bits): boolean => some.every((word, i) => (word & ~(all[i] ?? 0)) === 0)

/** Which operation is placed: one of the list, or one without a return. */
type Move = { readonly call: Event } | { readonly lost: number }

interface Configuration<S> {
  readonly parent: Configuration<S> | undefined
  /** What was placed last. */
  readonly move: Move | undefined
  readonly state: S
  readonly key: string
  /** How many that returned are placed. */
  readonly count: number
  /** The highest index that is placed. */
  readonly highest: number
  /** Operations without a return that are placed. */
  readonly used: Bits
  /** What is tried next: calls up to a return, then those without a return. Undefined: not begun. */
  cursor: Event | 'end' | undefined
  lostMoves: LostMove<S>[] | undefined
  /** The move in hand, and the states that it may lead to. */
  trying: Move | undefined
  options: readonly S[]
  nextOption: number
}

export type Found<S, I, O> =
  | { readonly verdict: 'linearizable'; readonly order: readonly Operation<I, O>[] }
  | {
      readonly verdict: 'not'
      readonly placed: readonly Operation<I, O>[]
      readonly state: S
      readonly blocked: Operation<I, O>
      readonly unplaced: readonly Operation<I, O>[]
    }
  | { readonly verdict: 'unknown' }

export interface Searched<S, I, O> {
  readonly found: Found<S, I, O>
  readonly configurations: number
  readonly steps: number
}

/** @param maxSteps of the model, before it gives up */
export const search = <S, I, O>(
  model: Model<S, I, O>,
  history: readonly Operation<I, O>[],
  maxSteps: number,
): Searched<S, I, O> => {
  const { head, known, lost } = timelineOf(history)
  const placed = bitsFor(known.length)
  const lostOnes = createLost(
    model,
    lost.map(({ operation }) => operation),
  )
  /** By name, the operations without a return that were used up; no two of a list of which one is within the other. */
  const seen = new Map<string, Bits[]>()
  let steps = 0
  let configurations = 0
  /** Where the furthest return was in the way. */
  let furthest: { readonly at: Configuration<S>; readonly end: Event } | undefined

  /** All before the first call of the list is placed, so only what is placed after it needs to be told. */
  const nameOf = (highest: number, stateKey: string): string => {
    const first = head.after?.index ?? known.length
    let name = `${first}`
    if (highest > first)
      for (let i = first >>> 5; i <= highest >>> 5; i += 1) name += `.${(placed[i] ?? 0).toString(36)}`
    return `${name} ${stateKey}`
  }

  const isNew = (name: string, used: Bits): boolean => {
    const others = seen.get(name)
    if (others?.some((other) => isWithin(other, used))) return false
    seen.set(name, others === undefined ? [used] : [...others.filter((other) => !isWithin(used, other)), used])
    configurations += 1
    return true
  }

  const make = (move: Move): void => {
    if (!('call' in move)) return
    lift(move.call)
    flip(placed, move.call.index)
  }

  const undo = (move: Move): void => {
    if (!('call' in move)) return
    flip(placed, move.call.index)
    unlift(move.call)
  }

  const configuration = (
    parent: Configuration<S> | undefined,
    move: Move | undefined,
    state: S,
    key: string,
    highest: number,
    used: Bits,
  ): Configuration<S> => {
    const count = (parent?.count ?? 0) + (move !== undefined && 'call' in move ? 1 : 0)
    const untried = { cursor: undefined, lostMoves: undefined, trying: undefined, options: [], nextOption: 0 }
    return { parent, move, state, key, count, highest, used, ...untried }
  }

  /** Makes the move, unless it leads nowhere new. */
  const enter = (parent: Configuration<S>, move: Move, state: S): Configuration<S> | undefined => {
    const key = model.key(state)
    let { used, highest } = parent
    if ('call' in move) highest = Math.max(highest, move.call.index)
    else {
      used = used.slice()
      flip(used, move.lost)
    }
    make(move)
    if (isNew(nameOf(highest, key), used)) return configuration(parent, move, state, key, highest, used)
    undo(move)
    return undefined
  }

  const note = (at: Configuration<S>, end: Event): void => {
    const more = furthest === undefined ? 1 : end.position - furthest.end.position || at.count - furthest.at.count
    if (more > 0) furthest = { at, end }
  }

  const budgetIsSpent = (): boolean => steps + lostOnes.steps() >= maxSteps

  /** What may be placed next, of those that returned; and the return that must not be passed. */
  const candidates = (): { readonly calls: Event[]; readonly end: Event | undefined } => {
    const calls: Event[] = []
    let event = head.after
    for (; event?.isCall === true; event = event.after) calls.push(event)
    return { calls, end: event }
  }

  const tryNext = (at: Configuration<S>, move: Move, options: readonly S[]): void => {
    at.trying = move
    at.options = options
    at.nextOption = 0
  }

  const statesAfter = (state: S, event: Event): readonly S[] => {
    const operation = known[event.index]?.operation
    steps += 1
    return operation === undefined ? [] : model.step(state, operation.input, operation.output)
  }

  /** A read that fits and tells nothing new. */
  const fittingRead = (at: Configuration<S>): Event | undefined => {
    for (let event = head.after; event?.isCall === true; event = event.after) {
      const { input, output } = known[event.index]?.operation ?? {}
      if (input === undefined || output === undefined || model.isRead?.(input, output) !== true) continue
      if (statesAfter(at.state, event).some((state) => model.key(state) === at.key)) return event
    }
    return undefined
  }

  const lostMovesAt = (at: Configuration<S>): LostMove<S>[] => {
    const { calls, end } = candidates()
    if (end === undefined) return []
    note(at, end)
    if (lost.length === 0) return []
    const before = at.move !== undefined && 'lost' in at.move ? at.parent : undefined
    const isFree = (index: number): boolean => (lost[index]?.position ?? 0) < end.position && !has(at.used, index)
    const others = calls.flatMap(({ index }) => known[index]?.operation ?? [])
    return lostOnes.worthPlacing(at, before, isFree, others).reverse()
  }

  /** @returns whether there was something */
  const takeMove = (at: Configuration<S>): boolean => {
    if (at.cursor === 'end') return false
    if (at.cursor === undefined) {
      const read = fittingRead(at)
      at.cursor = read === undefined ? head.after : 'end'
      if (read !== undefined) {
        tryNext(at, { call: read }, [at.state])
        return true
      }
    }
    const call = at.cursor
    if (typeof call === 'object' && call.isCall) {
      at.cursor = call.after
      tryNext(at, { call }, statesAfter(at.state, call))
      return true
    }
    at.lostMoves ??= lostMovesAt(at)
    const move = at.lostMoves.pop()
    if (move === undefined) return false
    tryNext(at, { lost: move.index }, [move.state])
    return true
  }

  /** @returns a configuration that is reached from here and was not seen; undefined: there is none, or no budget */
  const advance = (at: Configuration<S>): Configuration<S> | undefined => {
    for (;;) {
      while (at.trying !== undefined && at.nextOption < at.options.length) {
        const next = enter(at, at.trying, at.options[at.nextOption++] as S)
        if (next !== undefined) return next
      }
      if (budgetIsSpent() || !takeMove(at)) return undefined
    }
  }

  const operationOf = (move: Move): Operation<I, O> | undefined =>
    ('call' in move ? known[move.call.index] : lost[move.lost])?.operation

  const orderOf = (last: Configuration<S>): Operation<I, O>[] => {
    const order: Operation<I, O>[] = []
    for (let at: Configuration<S> | undefined = last; at?.move !== undefined; at = at.parent) {
      const operation = operationOf(at.move)
      if (operation !== undefined) order.push(operation)
    }
    return order.reverse()
  }

  const explain = (): Found<S, I, O> => {
    const blocked = furthest === undefined ? undefined : known[furthest.end.index]?.operation
    if (furthest === undefined || blocked === undefined) throw new Error('an order was neither found nor ruled out')
    const { at, end } = furthest
    const order = orderOf(at)
    const isPlaced = new Set([...order, blocked])
    const isLeft = ({ operation, position }: Called<I, O>): boolean =>
      position < end.position && !isPlaced.has(operation)
    const hasEffect = ({ operation }: Called<I, O>): boolean =>
      model.step(at.state, operation.input, undefined).some((state) => model.key(state) !== at.key)
    const others = [...known.filter(isLeft), ...lost.filter((one) => isLeft(one) && hasEffect(one))]
    const unplaced = [blocked, ...others.map(({ operation }) => operation)]
    return { verdict: 'not', placed: order, state: at.state, blocked, unplaced }
  }

  const run = (): Found<S, I, O> => {
    const start = model.init()
    const startKey = model.key(start)
    let at = configuration(undefined, undefined, start, startKey, -1, bitsFor(lost.length))
    isNew(nameOf(at.highest, at.key), at.used)
    while (head.after !== undefined) {
      const next = advance(at)
      if (next !== undefined) at = next
      else if (budgetIsSpent()) return { verdict: 'unknown' }
      else if (at.parent === undefined || at.move === undefined) return explain()
      else {
        undo(at.move)
        at = at.parent
      }
    }
    return { verdict: 'linearizable', order: orderOf(at) }
  }

  const found = run()
  return { found, configurations, steps: steps + lostOnes.steps() }
}
