/** The sections of the document, and how a message comes into them. State: what was added. */
import type { Content } from '../../../protocols/define.ts'
import type { Json } from './json-schemas.ts'

/** Good and bad messages of tasks, by the places of the document. */
export const VECTORS = 'test/interop/vectors/tasks.json'
/** Of the protocol of their large values. */
export const BYTES_VECTORS = 'test/interop/vectors/task-bytes.json'
/** Of budgets. */
export const BUDGET_VECTORS = 'test/interop/vectors/budgets.json'
/** Of resources. */
export const RESOURCE_VECTORS = 'test/interop/vectors/resources.json'
/** Of plans and their services. */
export const PLAN_VECTORS = 'test/interop/vectors/coordination.json'
/** Of who waits for whom. */
export const WAIT_VECTORS = 'test/interop/vectors/waits.json'
export const CONTENT_TYPES: Readonly<Record<Content, string>> = {
  json: 'application/json',
  cbor: 'application/cbor',
  bytes: 'application/x-protobuf',
}

export interface Sections {
  readonly channels: Record<string, Json & { readonly messages: Record<string, Json> }>
  readonly operations: Record<string, Json>
  readonly messages: Record<string, Json>
  readonly schemas: Record<string, Json>
}

export const ref = (...path: readonly string[]): Json => ({ $ref: `#/${path.join('/')}` })
export const inChannel = (channel: string, message: string): Json => ref('channels', channel, 'messages', message)

/** A message, and that it is one of the channel. */
export const addMessage = ({ channels, messages }: Sections, channel: string, name: string, message: Json): Json => {
  messages[name] = { name, ...message }
  const own = channels[channel]
  if (own === undefined) throw new Error(`there is no channel ${channel}`)
  own.messages[name] = ref('components', 'messages', name)
  return inChannel(channel, name)
}

export const FAULT = 'fault'
