/**
 * Recoveries of durable messages that change the message (MSG001: retry with validation).
 *
 * Where the receiver says that the data does not fit, the data goes through the schema of this node once more, as the
 * schema makes it: with defaults filled in and without what it does not know. Only where that makes other bytes is it sent
 * once more. MSG002 is recovered where the message is written (message-staging.ts), COM001 and COM002 by the sessions themselves.
 * State: the definitions that were sent last, at most MAX_DEFINITIONS.
 */
import { equals } from 'uint8arrays/equals'
import type { Fault } from '../../errors.ts'
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
