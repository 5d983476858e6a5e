export { renderReport } from './page.mjs'
export { renderReadmeChart } from './readme-chart.mjs'
