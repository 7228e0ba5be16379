/**
 * Light, dark, or as the system has it. The choice is kept by the browser where it lets us, and is all that the page keeps.
 */
import { computed, effect, signal } from '@preact/signals'

export const CHOICES = ['system', 'light', 'dark'] as const
export type Choice = (typeof CHOICES)[number]

const KEY = 'parley-colours'
const dark = matchMedia('(prefers-color-scheme: dark)')

const kept = (): Choice => {
  try {
    const found = localStorage.getItem(KEY)
    return CHOICES.find((choice) => choice === found) ?? 'system'
  } catch {
    return 'system'
  }
}

export const choice = signal<Choice>(kept())
const systemIsDark = signal(dark.matches)
dark.addEventListener('change', ({ matches }) => {
  systemIsDark.value = matches
})

export const colours = computed<'light' | 'dark'>(() =>
  choice.value === 'system' ? (systemIsDark.value ? 'dark' : 'light') : choice.value,
)

export const nextChoice = (): void => {
  choice.value = CHOICES[(CHOICES.indexOf(choice.value) + 1) % CHOICES.length] ?? 'system'
  try {
    localStorage.setItem(KEY, choice.value)
  } catch {
    // A browser that keeps nothing for us asks the system again next time.
  }
}

effect(() => {
  document.documentElement.dataset.colours = colours.value
})
