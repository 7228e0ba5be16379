/**
 * Durable messages of Parley as they are planned, for as long as they are not there: this file goes once they are. Then
 * `defineMessage` comes from protocols/index.ts, and `messagesOf(mesh)` is `mesh.messages`.
 */
import type { Mesh } from '../../../node/index.ts'
import type { Body } from '../body.ts'

interface Definition {
  readonly type: string
  readonly version: string
  readonly schema: unknown
}

interface Transaction {
  put(key: string, value: unknown): Promise<void>
}

interface Receipt {
  /** Resolves once the receiver has acknowledged: processed and durable there. */
  delivered(): Promise<unknown>
}

interface Messages {
  receive(what: Definition, run: (data: Body, context: { tx: Transaction }) => Promise<void>): Promise<unknown>
  /** Resolves once the message is durable at the sender. */
  send(
    peer: string,
    what: Definition,
    data: Body,
    options: { guarantee: 'AT_LEAST_ONCE' | 'EXACTLY_ONCE' },
  ): Promise<Receipt>
}

export const defineMessage = (definition: Definition): Definition => definition

export const messagesOf = (mesh: Mesh): Messages => {
  const messages: Messages | undefined = Reflect.get(mesh, 'messages')
  if (messages === undefined) throw new Error('this mesh has no durable messages yet')
  return messages
}
