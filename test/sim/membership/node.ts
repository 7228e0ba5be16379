/**
 * A simulated node: the real failure detector, driven as its driver over the Port does. It may stand still, as a process
 * that is stopped or whose event loop is busy: what arrives then waits, and its timers come late.
 *
 * State: the machine, what waits, when the next tick is armed.
 */
import { type SwimInput, step } from '../../../discovery/swim/swim-machine.ts'
import type { SwimSettings } from '../../../discovery/swim/swim-settings.ts'
import { createSwimState, type SwimEffect, type SwimState } from '../../../discovery/swim/swim-state.ts'
import type { Network } from './network.ts'
import type { Queue } from './queue.ts'

export interface NodeDeps {
  readonly queue: Queue
  readonly network: Network
  readonly random: () => number
  readonly settings: Partial<SwimSettings>
  node(id: string): SimNode | undefined
  /** Members of the mesh, as this node knows. */
  size(id: string): number
  /** What the detector wants of the rest of the node. */
  told(id: string, effect: SwimEffect): void
}

export interface SimNode {
  readonly id: string
  readonly swim: SwimState
  /** Takes in what happens to it, now or when it runs again. */
  happen(input: SwimInput): void
  /** A probe that is to be answered with this number. */
  probed(input: SwimInput & { type: 'probed' }, seq: number): void
  /** Runs `task` now, or when it runs again. */
  run(task: () => void): void
  freeze(): void
  thaw(): void
  kill(): void
  isDead(): boolean
}

export const createNode = (id: string, incarnation: number, deps: NodeDeps): SimNode => {
  const { queue, network } = deps
  const swim = createSwimState({ id, incarnation }, deps.random, queue.now(), deps.settings)
  let waiting: (() => void)[] = []
  let isFrozen = false
  let isDead = false
  let armedAtMs = Number.POSITIVE_INFINITY

  const run = (task: () => void): void => {
    if (isDead) return
    if (isFrozen) waiting.push(task)
    else task()
  }

  const arm = (): void => {
    if (swim.wakeAtMs >= armedAtMs) return
    const atMs = swim.wakeAtMs
    armedAtMs = atMs
    queue.after(atMs - queue.now(), () => {
      if (armedAtMs === atMs) run(wake)
    })
  }
  const wake = (): void => {
    armedAtMs = Number.POSITIVE_INFINITY
    if (queue.now() >= swim.wakeAtMs) take({ type: 'tick', members: deps.size(id) })
    else arm()
  }

  const carryOut = (effect: SwimEffect, answering: number | undefined): void => {
    const { incarnation } = swim
    if (effect.type === 'probe') {
      const { seq, peer, news } = effect
      const input = { type: 'probed', peer: id, incarnation, news } as const
      network.send('probe', id, peer, () => deps.node(peer)?.probed(input, seq))
    } else if (effect.type === 'answer') {
      const { to, news } = effect
      const input = { type: 'acked', seq: answering ?? 0, peer: id, incarnation, news } as const
      network.send('answer', id, to, () => deps.node(to)?.happen(input))
    } else if (effect.type === 'ask') {
      const { seq, via, target } = effect
      network.send('ask', id, via, () => deps.node(via)?.happen({ type: 'asked', peer: id, id: seq, target }))
    } else if (effect.type === 'report') {
      const { to, id: seq, outcome } = effect
      network.send('report', id, to, () => deps.node(to)?.happen({ type: 'reported', seq, outcome }))
    } else deps.told(id, effect)
  }

  const take = (input: SwimInput, answering?: number): void => {
    for (const effect of step(swim, input, queue.now())) carryOut(effect, answering)
    arm()
  }

  arm()
  return {
    id,
    swim,
    run,
    happen: (input) => run(() => take(input)),
    probed: (input, seq) => run(() => take(input, seq)),
    freeze() {
      isFrozen = true
    },
    thaw() {
      isFrozen = false
      const tasks = waiting
      waiting = []
      // As in an event loop: timers that are due come before what arrived.
      wake()
      for (const task of tasks) run(task)
    },
    kill() {
      isDead = true
      waiting = []
    },
    isDead: () => isDead,
  }
}
