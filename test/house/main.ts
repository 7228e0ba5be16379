/** Prints the figures of the house: `npm run house`. The limits that they must keep stand in limits.ts. */
import { type Figures, figuresOf } from './figures.ts'
import { readSources, wordsOf } from './tree.ts'

const show = (figures: Figures): void => {
  for (const [name, figure] of Object.entries(figures)) {
    if (typeof figure === 'number') {
      console.log(`${name}: ${figure}`)
      continue
    }
    console.log(`${name}: ${figure.length}`)
    for (const one of figure) console.log(`  ${typeof one === 'string' ? one : JSON.stringify(one)}`)
  }
}

show(figuresOf(readSources()))
for (const page of ['README.md', 'ARCHITECTURE.md']) console.log(`words of ${page}: ${wordsOf(page)}`)
