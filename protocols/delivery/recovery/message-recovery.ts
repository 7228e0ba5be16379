/**
 * Recoveries of durable messages, in which the message becomes another one.
 *
 * MSG001 (retry with validation): where the receiver says that the data does not fit, it goes through the schema of this
 * node once more, with defaults filled in and without what the schema does not know. Only where that makes other bytes is
 * it sent once more. MSG002 (retry with a new serializer): what JSON cannot hold is written as CBOR. COM001 and COM002 are
 * recovered by the sessions themselves (peer-sender.ts).
 * State: the definitions that were sent last, at most MAX_DEFINITIONS.
 */
import { equals } from 'uint8arrays/equals'
import type { Content } from '../../define.ts'
import { CODES, type Fault, isCode, isParleyError } from '../../errors.ts'
import type { Fields, Log, Metrics } from '../../port.ts'
import { decodePayload, encodePayload } from '../../wire/payload/payload.ts'
import type { MessageDefinition } from '../define-message.ts'
import { decodeMessage, encodeMessage } from '../durable-message.ts'

const MAX_DEFINITIONS = 256

export interface MessageRevisions {
  /** Messages of this definition are sent. */
  know(definition: MessageDefinition): void
  /** @returns the message in another form; undefined where there is none */
  revise(message: Uint8Array, fault: Fault): Uint8Array | undefined
}

export const createMessageRevisions = (): MessageRevisions => {
  const definitions = new Map<string, MessageDefinition>()
  return {
    know(definition) {
      if (definitions.get(definition.type) === definition) return
      definitions.delete(definition.type)
      definitions.set(definition.type, definition)
      const [oldest] = definitions.keys()
      if (definitions.size > MAX_DEFINITIONS && oldest !== undefined) definitions.delete(oldest)
    },
    revise(bytes, fault) {
      if (fault.code !== 'MSG001') return undefined
      const message = decodeMessage(bytes)
      const definition = definitions.get(message.type)
      if (definition === undefined) return undefined
      const parsed = definition.schema.safeParse(decodePayload(message.content, message.payload))
      if (!parsed.success) return undefined
      const payload = encodePayload(message.content, parsed.data)
      return equals(payload, message.payload) ? undefined : encodeMessage({ ...message, payload })
    },
  }
}

/** In the content that the definition names; as CBOR where JSON cannot hold it, and `rewritten` is called. @throws MSG002 */
export const encodeOrRewrite = (
  content: Content,
  data: unknown,
  rewritten: () => void,
): { content: Content; payload: Uint8Array } => {
  try {
    return { content, payload: encodePayload(content, data) }
  } catch (error) {
    if (content !== 'json' || !isParleyError(error, 'MSG002')) throw error
    const payload = encodePayload('cbor', data)
    rewritten()
    return { content: 'cbor', payload }
  }
}

/** How the recovery of a failure with this code ended. @param about which message, for the log */
export type RecoveryEnded = (code: string, isWell: boolean, about?: Fields) => void

/** Counts recoveries by how they ended, and logs those that failed; codes that have none are left out. */
export const createRecoveryEnded = (metrics: Metrics, log: Pick<Log, 'error'>): RecoveryEnded => {
  const count = metrics.counter('recoveries_total', 'Recoveries that were tried, by how they ended', [
    'code',
    'recovery',
    'outcome',
  ])
  return (code, isWell, about = {}) => {
    const recovery = isCode(code) ? CODES[code].recovery : 'none'
    if (recovery === 'none') return
    count({ code, recovery, outcome: isWell ? 'recovered' : 'failed' })
    if (!isWell) log.error('a recovery failed', { severity: 'critical', ...about, code, recovery })
  }
}
