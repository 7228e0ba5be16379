/**
 * Whether a node can do its work, and why not: what its parts say, what programs say (`notReady`), and what the node itself
 * waits for. State: the reasons that programs gave.
 */
import type { Stop } from '../../protocols/port.ts'
import type { Network } from '../network/network.ts'
import type { Readiness } from '../observe/debug/debug-schemas.ts'
import { looksForOthers } from '../options/discovery-options.ts'
import type { MeshOptions } from '../options/schema.ts'
import type { DurableMessages } from '../parts/durable-messages.ts'
import type { PartRunner } from '../parts/runner.ts'
import type { createStuckDetection } from '../parts/stuck-detection.ts'

export interface ReadinessDeps {
  readonly options: MeshOptions
  readonly network: Pick<Network, 'state' | 'peers' | 'supervisor' | 'skews'>
  readonly parts: Pick<PartRunner, 'readiness'>
  readonly messages: Pick<DurableMessages, 'problem'>
  readonly activity: Pick<ReturnType<typeof createStuckDetection>, 'current'>
}

export class NodeReadiness {
  readonly #deps: ReadinessDeps
  readonly #holds = new Set<{ readonly reason: string }>()

  constructor(deps: ReadinessDeps) {
    this.#deps = deps
  }

  /** @returns takes the reason back */
  hold(reason: string): Stop {
    const hold = { reason }
    this.#holds.add(hold)
    return () => void this.#holds.delete(hold)
  }

  read(): Readiness {
    const ofParts = this.#deps.parts.readiness()
    const reasons = [...this.#holds].map(({ reason }) => reason)
    reasons.push(...ofParts.reasons, ...this.#waitsFor())
    const degraded = [...ofParts.degraded, ...this.#lacks()]
    return { ready: reasons.length === 0, reasons, ...(degraded.length > 0 && { degraded }) }
  }

  *#waitsFor(): Generator<string> {
    const { options, network, messages } = this.#deps
    const kept = messages.problem()
    if (kept !== undefined) yield kept
    if (network.state.leaving) yield 'the node is stopping'
    // The first node of a mesh joins a name that stands for nobody else yet; who waits for it must not wait forever.
    if (looksForOthers(options) && network.peers.members().length === 0 && !network.supervisor.isAlone())
      yield 'no member of the mesh is connected'
  }

  *#lacks(): Generator<string> {
    const { network, activity } = this.#deps
    const clocks = network.skews.problem()
    if (clocks !== undefined) yield clocks
    if (activity.current().state === 'stuck') yield 'the agent has requests in work and does not get on'
  }
}
