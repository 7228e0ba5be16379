/** Durable messages through the interceptors of who sends them: by `send`, in a transaction, or as a reply. */
import { INTERCEPTOR_TIME } from '../../interceptors/chain-run.ts'
import type { SendChain } from '../../interceptors/chains.ts'
import type { PassedOn } from '../../interceptors/interceptor.ts'
import type { SendOptions, To } from '../api.ts'
import type { MessageDefinition } from '../define-message.ts'

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({})

/**
 * @param pass sends it, with the data and options that the interceptors left
 * @returns what `pass` returned
 */
export const sendThrough = async <R extends PassedOn>(
  chain: SendChain,
  to: To,
  { type, version }: Pick<MessageDefinition, 'type' | 'version'>,
  data: unknown,
  options: SendOptions,
  pass: (data: unknown, options: SendOptions) => Promise<R> | R,
): Promise<R> => {
  const { headers = NO_HEADERS, conversationId, correlationId, guarantee, priority, signal } = options
  const about = { headers, conversationId, correlationId, guarantee, priority }
  const passed = await chain.run(
    { type, version, to, data, ...about },
    (message) =>
      pass(message.data, message.headers === NO_HEADERS ? options : { ...options, headers: { ...message.headers } }),
    { ...INTERCEPTOR_TIME, signal },
  )
  // Of messages, a hook passes on what came from `pass`, and nothing else.
  return passed as R
}
