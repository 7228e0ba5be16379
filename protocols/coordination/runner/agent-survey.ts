/**
 * How agents are, as they say themselves. Answers count for 100 ms (seed 003: state sync each 100 ms), so that many plans at once
 * ask each agent once. State: the answers, and what is being asked (bounded).
 */
import type { Port } from '../../port.ts'
import { uuid7 } from '../../wire/message-id.ts'
import { coordinationProtocol } from '../contract.ts'
import { type AgentStatus, isoTime } from '../messages.ts'

const FRESH_MS = 100
const ASK_MS = 500
/** Agents that are asked at once. */
const AT_ONCE = 64
const MOST_KEPT = 4_096

export interface SurveyedAgent {
  readonly status: AgentStatus
  readonly roundTripMs: number
}

interface Kept {
  readonly at: number
  readonly answer: Promise<SurveyedAgent | undefined>
}

export class AgentSurvey {
  readonly #port: Pick<Port, 'self' | 'clock' | 'timers' | 'random' | 'to'>
  readonly #kept = new Map<string, Kept>()
  #asked = 0
  #unanswered = 0

  constructor(port: Pick<Port, 'self' | 'clock' | 'timers' | 'random' | 'to'>) {
    this.#port = port
  }

  counts(): { readonly asked: number; readonly unanswered: number } {
    return { asked: this.#asked, unanswered: this.#unanswered }
  }

  /** @returns what each says; undefined for those that do not answer @throws the signal's reason */
  async ask(agents: readonly string[], signal: AbortSignal): Promise<Map<string, SurveyedAgent | undefined>> {
    const found = new Map<string, SurveyedAgent | undefined>()
    const waiting = [...agents]
    const next = async (): Promise<void> => {
      for (let agent = waiting.shift(); agent !== undefined; agent = waiting.shift()) {
        found.set(agent, await this.#one(agent, signal))
        signal.throwIfAborted()
      }
    }
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, agents.length) }, next))
    return found
  }

  #one(agent: string, signal: AbortSignal): Promise<SurveyedAgent | undefined> {
    const now = this.#port.clock.monotonic()
    const kept = this.#kept.get(agent)
    if (kept !== undefined && now - kept.at < FRESH_MS) return kept.answer
    const answer = this.#request(agent, signal)
    this.#kept.delete(agent)
    this.#kept.set(agent, { at: now, answer })
    const [oldest] = this.#kept.keys()
    if (this.#kept.size > MOST_KEPT && oldest !== undefined) this.#kept.delete(oldest)
    return answer
  }

  /** Never rejects. */
  async #request(agent: string, signal: AbortSignal): Promise<SurveyedAgent | undefined> {
    const { clock, random, to } = this.#port
    const begun = clock.monotonic()
    this.#asked += 1
    try {
      const request_id = uuid7(clock.now(), random(10))
      const request = { request_id, timestamp: isoTime(clock.now()), target_agent: agent }
      const status = await to(agent, coordinationProtocol).agent_status(request, { signal, timeoutMs: ASK_MS })
      const isIts = status.request_id === request_id && status.source_agent === agent
      if (isIts && status.availability !== 'offline') return { status, roundTripMs: clock.monotonic() - begun }
    } catch {
      // It is as if it were not there.
    }
    this.#unanswered += 1
    return undefined
  }
}
