/** Agents by their names, as the directory has them at each call: who is called, who must not be, who gets the answer. */
import { checkTarget, isPeerId, peerIdOf, resolveTarget } from '../../discovery/directory/find-agent.ts'
import type { Sought } from '../../discovery/directory/lookup.ts'
import type { Agent } from '../../discovery/directory/tables/agent-change.ts'
import { isParleyError } from '../../protocols/errors.ts'
import type { Clock } from '../../protocols/port.ts'
import type { ByteCallOptions } from './clients.ts'
import type { MethodCodec } from './method-codecs.ts'

export interface AgentNamesDeps {
  clock: Clock
  /** Everyone in the directory. */
  agents(): readonly Agent[]
  /**
   * Resolves once the directory knows this or has nobody left to ask, at the latest after this time, milliseconds.
   * Never rejects.
   */
  seek(sought: Sought, timeoutMs: number): Promise<void>
}

/** How long a call waits for word of an agent or an offer that is not known here, milliseconds. */
export const SEEK_MS = 2_000
const NOBODY: readonly string[] = []

export class AgentNames {
  readonly #deps: AgentNamesDeps

  constructor(deps: AgentNamesDeps) {
    this.#deps = deps
  }

  /** The same call to the agent of a name, with what is left of its time. @throws COM002, STA003 */
  async resolve(
    name: string,
    { codec }: MethodCodec,
    options: ByteCallOptions,
  ): Promise<{ peer: string; options: ByteCallOptions }> {
    const { clock } = this.#deps
    const startedAt = clock.monotonic()
    const timeoutMs = options.timeoutMs ?? codec.timeoutMs
    const peer = await this.#lookUp(name, timeoutMs)
    return { peer, options: { ...options, timeoutMs: Math.max(1, timeoutMs - (clock.monotonic() - startedAt)) } }
  }

  /** With the third party by its peer id: whoever answers may know another agent by this name. @throws MSG001, COM002, STA003 */
  withReplyTo(options: ByteCallOptions): ByteCallOptions {
    const { replyTo } = options
    if (replyTo === undefined || (typeof replyTo === 'string' && replyTo.startsWith('topic:'))) return options
    return { ...options, replyTo: resolveTarget(this.#deps.agents, replyTo, 'replyTo') }
  }

  /** Peer ids of those that must not be chosen; a name that nobody has leaves out nobody. */
  excluded({ exclude = NOBODY }: ByteCallOptions): readonly string[] {
    if (exclude === NOBODY) return NOBODY
    return exclude.flatMap((one) =>
      isPeerId(checkTarget(one, 'exclude'))
        ? [one]
        : this.#deps.agents().flatMap(({ peer, name }) => (name === one ? [peer] : [])),
    )
  }

  /** The peer id of a name; who is not known here is asked for among the neighbours. @throws COM002, STA003 */
  async #lookUp(nameOrId: string, withinMs: number): Promise<string> {
    const { agents, seek } = this.#deps
    try {
      return peerIdOf(agents, nameOrId)
    } catch (error) {
      if (!isParleyError(error, 'COM002')) throw error
      await seek({ name: nameOrId }, Math.max(1, Math.min(SEEK_MS, withinMs)))
      return peerIdOf(agents, nameOrId)
    }
  }
}
