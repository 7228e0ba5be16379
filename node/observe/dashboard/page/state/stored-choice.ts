/** Choices that the browser keeps for this page, where it lets us: texts of a word. Nothing else of the page is kept. */
import { type Signal, signal } from '@preact/signals'

const read = (key: string): string | null => {
  try {
    return localStorage.getItem(key)
  } catch {
    // A browser that keeps nothing for us begins with what is usual.
    return null
  }
}

interface Choice<T extends string> {
  /** Undefined before it was made. */
  readonly made: Signal<T | undefined>
  make(choice: T): void
}

/** @param choices the first that is kept under the key and among these */
export const storedChoice = <T extends string>(key: string, choices: readonly T[]): Choice<T> => {
  const found = read(key)
  const made = signal(choices.find((choice) => choice === found))
  return {
    made,
    make(choice) {
      made.value = choice
      try {
        localStorage.setItem(key, choice)
      } catch {
        // It holds until the page is left.
      }
    },
  }
}
