/**
 * Durable messages whose data the receiver refused (MSG001): checked once more by the schema with which they were sent
 * (wire/payload/payload-recovery.ts). COM001 and COM002 are recovered by the sessions themselves (peer-sender.ts).
 *
 * State: the definitions that were sent last, at most MAX_DEFINITIONS.
 */
import type { Fault } from '../../errors.ts'
import { decodePayload, encodePayload } from '../../wire/payload/payload.ts'
import { revisePayload } from '../../wire/payload/payload-recovery.ts'
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
      const { content } = message
      const codec = {
        read: (payload: Uint8Array) => decodePayload(content, payload),
        write: (value: unknown) => encodePayload(content, value),
      }
      const payload = revisePayload(definition.schema, codec, message.payload, undefined)
      return payload === undefined ? undefined : encodeMessage({ ...message, payload })
    },
  }
}
