/** One call between two nodes of a port network, from its request to its end. State: what has come and was not read yet. */
import type { Progress } from '../../../protocols/define.ts'

export interface VirtualExchange {
  readonly from: string
  readonly to: string
  readonly item: (value: unknown) => void
  /** Ends it on the caller's side; with an error, or well. */
  readonly end: (error?: Error) => void
  /** Whoever waits for it is no more: nothing is kept for it. @returns whether it was open */
  readonly forget: () => boolean
  readonly cancel: Cancel
  /** The handler reported progress: its time counts anew. */
  readonly progress: (report: Progress) => void
}

/** Most handlers look at no signal: it is made for those that do. */
export class Cancel {
  #controller: AbortController | undefined
  #error: Error | undefined

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#error !== undefined) this.#controller.abort(this.#error)
    }
    return this.#controller.signal
  }

  abort(error: Error): void {
    this.#error ??= error
    this.#controller?.abort(error)
  }
}

/** Items as they come, for one reader. */
export const createItems = () => {
  const items: unknown[] = []
  let over: { error?: Error | undefined } | undefined
  let wake: () => void = () => {}
  async function* drain(): AsyncGenerator<unknown, void> {
    for (;;) {
      while (items.length > 0) yield items.shift()
      if (over?.error) throw over.error
      if (over) return
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  return {
    push: (value: unknown): void => {
      items.push(value)
      wake()
    },
    end: (error?: Error): void => {
      over ??= { error }
      wake()
    },
    drain,
  }
}
