/**
 * The parts of the peers' clients that the bench uses, so that the types of the whole repository can be checked where
 * the peers are not installed. Where they are, these declarations still win; a wrong one shows when the bench runs.
 */
declare module '@nats-io/transport-node' {
  export interface Msg {
    readonly data: Uint8Array
    readonly reply?: string
    json(): unknown
    respond(payload?: Uint8Array | string): boolean
  }
  export interface MsgHdrs {
    set(name: string, value: string): void
  }
  export const headers: () => MsgHdrs
  export interface Subscription {
    unsubscribe(): void
  }
  export interface NatsConnection {
    publish(subject: string, payload?: Uint8Array | string, options?: { reply: string }): void
    request(
      subject: string,
      payload?: Uint8Array | string,
      options?: { timeout: number; headers?: MsgHdrs },
    ): Promise<Msg>
    subscribe(subject: string, options?: { callback(error: Error | null, message: Msg): void }): Subscription
    flush(): Promise<void>
    close(): Promise<void>
  }
  export const connect: (options: { servers: string; reconnect?: boolean }) => Promise<NatsConnection>
}

declare module 'moleculer' {
  import type { Readable } from 'node:stream'

  export interface Context {
    readonly params: unknown
  }
  export interface ServiceSchema {
    name: string
    actions?: Record<string, (context: Context) => unknown>
    events?: Record<string, (context: Context) => void>
  }
  export interface BrokerOptions {
    nodeID: string
    logger: false
    transporter: {
      type: 'TCP'
      options: { udpDiscovery: false; port?: number; urls?: string[]; useHostname: false; gossipPeriod: number }
    }
  }
  export class ServiceBroker {
    constructor(options: BrokerOptions)
    readonly registry: { readonly nodes: { readonly localNode: { ipList: string[] } } }
    createService(schema: ServiceSchema): unknown
    start(): Promise<void>
    stop(): Promise<void>
    waitForServices(names: string[], timeoutMs: number): Promise<unknown>
    call(action: 'bench.bulk' | 'bench.stream'): Promise<Readable>
    call(action: string, params: object): Promise<unknown>
    broadcast(event: string, payload: object): Promise<unknown>
  }
}

declare module 'amqplib' {
  import type { EventEmitter } from 'node:events'

  export interface Message {
    readonly content: Buffer
    /** Empty texts where the sender gave none. */
    readonly properties: { readonly correlationId: string; readonly replyTo: string; readonly type: string }
  }
  interface Sent {
    correlationId?: string
    replyTo?: string
    type?: string
    persistent?: boolean
  }
  interface Queue {
    exclusive?: boolean
    durable: boolean
    arguments?: Record<string, string>
  }
  export interface Channel extends EventEmitter {
    assertQueue(name: string, options: Queue): Promise<{ queue: string }>
    deleteQueue(name: string): Promise<unknown>
    assertExchange(name: string, type: 'fanout', options: { durable: boolean }): Promise<unknown>
    bindQueue(queue: string, exchange: string, key: string): Promise<unknown>
    consume(queue: string, onMessage: (message: Message | null) => void, options: { noAck: boolean }): Promise<unknown>
    sendToQueue(queue: string, content: Buffer, options?: Sent): boolean
    publish(exchange: string, key: string, content: Buffer): boolean
    /** How many deliveries may be without an acknowledgement. */
    prefetch(count: number): Promise<unknown>
    ack(message: Message): void
  }
  export interface ConfirmChannel extends Channel {
    /** @param onConfirm told of the server's confirm, or of what went wrong */
    sendToQueue(name: string, content: Buffer, options?: Sent, onConfirm?: (error: Error | null) => void): boolean
  }
  export interface Connection {
    createChannel(): Promise<Channel>
    createConfirmChannel(): Promise<ConfirmChannel>
    close(): Promise<void>
  }
  export const connect: (url: string, socketOptions: { noDelay: boolean }) => Promise<Connection>
}

declare module 'lmdb' {
  export interface Database {
    put(key: string, value: Uint8Array): Promise<boolean>
    remove(key: string): Promise<boolean>
    get(key: string): Uint8Array | undefined
    readonly flushed: Promise<boolean>
    close(): Promise<void>
  }
  export const open: (options: { path: string; encoding: 'binary'; compression: boolean }) => Database
}

declare module '@restatedev/restate-sdk' {
  export interface Context {
    run<T>(name: string, action: () => T | Promise<T>): Promise<T>
  }
  export interface Service {
    readonly name: string
  }
  export const service: (definition: {
    readonly name: string
    readonly handlers: Readonly<Record<string, (context: Context, input: never) => Promise<unknown>>>
  }) => Service
  export const serve: (options: { readonly services: readonly Service[]; readonly port: number }) => Promise<number>
}
