export const renderReport = () => '', renderReadmeChart = () => ''
