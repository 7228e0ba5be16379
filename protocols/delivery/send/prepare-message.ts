/**
 * From what a program says to the bytes of a message: its definition, its options, its data, each checked.
 *
 * Data that JSON cannot hold is written as CBOR (MSG002: retry with a new serializer). State: which definitions were found
 * to be right.
 */
import type { ZodType, z } from 'zod'
import { passLimits } from '../../budget/carried/budget-share.ts'
import { ParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { checkParent } from '../../request-in-work.ts'
import { requireDepth } from '../../wire/delegation-chain.ts'
import { formatId, uuid7Bytes } from '../../wire/message-id.ts'
import { validate } from '../../wire/payload/payload.ts'
import { encodeOrRewrite } from '../../wire/payload/payload-recovery.ts'
import type { SendOptions, To } from '../api.ts'
import { defineMessage, type MessageDefinition } from '../define-message.ts'
import { type DurableMessage, encodeMessage } from '../durable-message.ts'
import type { ResolvedDeliveryOptions } from '../options.ts'
import { type PeerOf, readOptions, replyToOf, whomOf } from '../send-options.ts'
import type { MessageDraft } from './outbox.ts'
import { capabilityTargetOf } from './outgoing-message.ts'

/** A message that is ready to be stored. */
export interface PreparedMessage {
  readonly message: DurableMessage
  readonly draft: MessageDraft
  /** Empty for one to a capability. */
  readonly peers: readonly string[]
  readonly capability: string | undefined
  /** Of one to a capability whose conversation is not bound: who was chosen. */
  chosen: string | undefined
}

/** @throws MSG001, MSG002, STA003 `delegation-depth`, `delegation-cycle`, COM003 `budget-exhausted`, `budget-depth` */
export type PrepareMessage = <S extends ZodType>(
  to: To,
  definition: MessageDefinition<S>,
  data: z.input<S>,
  options: SendOptions,
) => PreparedMessage

export interface PrepareMessageDeps {
  readonly port: Pick<Port, 'clock' | 'random'>
  readonly settings: Pick<ResolvedDeliveryOptions, 'guarantee' | 'retry' | 'maxMessageBytes'>
  readonly peerOf?: PeerOf
  /** JSON could not hold it, CBOR could. */
  reserialized(): void
}

export const createPrepareMessage = ({ port, settings, peerOf, reserialized }: PrepareMessageDeps): PrepareMessage => {
  /** The type and the version with which a definition was found to be right. */
  const checked = new WeakMap<object, Pick<MessageDefinition, 'type' | 'version'>>()

  /** Once for each definition, since it comes with each message. @throws MSG001 */
  const checkDefinition = (definition: MessageDefinition): void => {
    const known = checked.get(definition)
    if (known?.type === definition.type && known.version === definition.version) return
    const { type, version } = defineMessage(definition)
    checked.set(definition, { type, version })
  }

  return (to, definition, data, options) => {
    checkDefinition(definition)
    const { headers, policy } = readOptions(options, settings.retry)
    const { peers, capability } = whomOf(to, options.rebind, peerOf)
    validate(definition.schema, data, definition.type)
    const { content, payload } = encodeOrRewrite(definition.content ?? 'json', data, reserialized)
    if (payload.length > settings.maxMessageBytes)
      throw new ParleyError(
        'MSG001',
        `the data of ${definition.type} has ${payload.length} bytes, at most ${settings.maxMessageBytes}`,
        { hint: 'send larger things by a stream or a file, and a message that tells of them' },
      )
    const now = port.clock.now()
    const { ttlMs, conversationId } = options
    const parent = options.parent === undefined ? undefined : checkParent(options.parent)
    if (parent !== undefined) requireDepth(parent.chain)
    const { priority = parent?.passesOn?.priority ?? 'normal', traceparent = parent?.passesOn?.traceparent } = options
    const id = uuid7Bytes(now, port.random(10))
    const message: DurableMessage = {
      id: formatId(id),
      type: definition.type,
      version: definition.version,
      payload,
      content,
      conversationId,
      correlationId: options.correlationId,
      replyTo: replyToOf(options.replyTo, peerOf),
      headers,
      priority,
      guarantee: options.guarantee ?? (settings.guarantee === 'AT_MOST_ONCE' ? 'AT_LEAST_ONCE' : settings.guarantee),
      createdAt: Math.floor(now),
      ttlMs,
      traceparent,
      ...(parent !== undefined && { chain: parent.chain }),
      ...(parent?.budget !== undefined && { budget: passLimits(parent.budget, port.clock) }),
      destinations: peers.length > 1 ? peers : [],
    }
    const expiresAt = ttlMs === undefined ? undefined : Math.floor(now) + ttlMs
    const bytes = encodeMessage(message, id)
    const bound = capabilityTargetOf(message, capability, options.rebind === 'allowed')
    const draft: MessageDraft = { bytes, conversationId, priority, policy, expiresAt, bound }
    return { message, draft, peers, capability, chosen: undefined }
  }
}
