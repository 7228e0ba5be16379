/** When nobody coordinated, as whoever ended the coordinator knows. Times in milliseconds since 1970. State: these times. */
import { setTimeout as delay } from 'node:timers/promises'
import { until } from '../../support/until.ts'
import type { TaskNode, TaskStage } from './stage.ts'

/** Around an outage: the coordinator may have been late before it was killed, and looks at what is due a moment after it began. */
const SLACK_MS = 2_000
const BACK_MS = 60_000

interface Outage {
  readonly from: number
  /** Infinite while it lasts. */
  to: number
}

export class Outages {
  readonly #stage: Pick<TaskStage, 'coordinator'>
  readonly #outages: Outage[] = []

  constructor(stage: Pick<TaskStage, 'coordinator'>) {
    this.#stage = stage
  }

  count(): number {
    return this.#outages.length
  }

  /** Kills these, the coordinator among them. Resolves once another one acts, or after `forMs` once those are started again. */
  async kill(nodes: readonly TaskNode[], forMs?: number): Promise<void> {
    const outage: Outage = { from: Date.now() - SLACK_MS, to: Number.POSITIVE_INFINITY }
    this.#outages.push(outage)
    await Promise.all(nodes.map((node) => node.kill()))
    if (forMs !== undefined) {
      await delay(forMs)
      await Promise.all(nodes.map((node) => node.start()))
    }
    await until('a node coordinates', this.#stage.coordinator, BACK_MS, 20)
    outage.to = Date.now() + SLACK_MS
  }

  /** Whether somebody coordinated all the time between these two. */
  isCovered(from: number, to: number): boolean {
    return !this.#outages.some((outage) => outage.from < to && outage.to > from)
  }
}
