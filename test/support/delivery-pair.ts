/** Two nodes that send each other durable messages, in virtual time, over stores in memory. */
import * as z from 'zod'
import { createPortNetwork, type NetworkNode, type PortNetwork } from '../../node/testing/virtual/port-network.ts'
import type { MessagesFeature } from '../../protocols/delivery/api.ts'
import { defineMessage, type MessageDefinition } from '../../protocols/delivery/define-message.ts'
import { createDelivery, type DeliveryDeps } from '../../protocols/delivery/delivery.ts'
import type { DeliveryOptions } from '../../protocols/delivery/options.ts'
import type { RowStore } from '../../protocols/delivery/store/row-storage.ts'
import { createVolatileRowStore } from '../../protocols/delivery/store/volatile-row-store.ts'
import type { Quota } from '../../protocols/limits/quota.ts'

export interface DeliveryNode {
  readonly node: NetworkNode
  readonly id: string
  readonly messages: MessagesFeature
  readonly store: RowStore
  /** Types that the directory tells of, with their versions, as they came and went. */
  readonly told: string[]
}

export interface NodeOptions {
  readonly settings?: DeliveryOptions
  readonly isVolatile?: boolean
  /** Of a node that was there before. */
  readonly store?: RowStore
  readonly quota?: Quota
  /** Who offers what, and who is gone; nobody unless told. */
  readonly choose?: DeliveryDeps['choose']
  readonly absentMs?: DeliveryDeps['absentMs']
  readonly publish?: DeliveryDeps['publish']
  readonly peerOf?: DeliveryDeps['peerOf']
}

export const startDelivery = async (
  network: PortNetwork,
  name: string,
  {
    settings = {},
    isVolatile = false,
    store = createVolatileRowStore(name.charCodeAt(0).toString(16).repeat(16)),
    quota,
    choose = () => undefined,
    absentMs = () => 0,
    publish = async () => {},
    peerOf,
  }: NodeOptions = {},
): Promise<DeliveryNode> => {
  const node = network.start(name)
  const told: string[] = []
  const messages = await createDelivery(
    {
      port: node.port,
      store,
      isVolatile,
      ...(quota !== undefined && { quota }),
      choose,
      absentMs,
      publish,
      ...(peerOf !== undefined && { peerOf }),
      async announce(type, version) {
        told.push(`+${type}@${version}`)
        return async () => void told.push(`-${type}@${version}`)
      },
      chance: network.random,
    },
    settings,
  )
  return { node, id: node.id, messages, store, told }
}

/** `a` sends, `b` receives; connected. Handlers that may come are not waited for any more. */
export const deliveryPair = async (a: NodeOptions = {}, b: NodeOptions = {}) => {
  const network = createPortNetwork()
  const from = await startDelivery(network, 'a', a)
  const to = await startDelivery(network, 'b', b)
  network.connect(from.node, to.node)
  await network.time.run(20_000)
  return { network, time: network.time, from, to }
}

export const Note = defineMessage({
  type: 'note',
  version: '1.0.0',
  schema: z.object({ n: z.number(), fill: z.string().optional() }),
})
export const Order: MessageDefinition<typeof Note.schema> = defineMessage({ ...Note, type: 'order', version: '2.1.0' })

export const keysOf = async (store: RowStore, prefix: string): Promise<string[]> => {
  const keys: string[] = []
  for await (const { key } of store.rows(prefix)) keys.push(key)
  return keys
}
