-- repository: seed
-- The niches of every new installation. Running it again updates icons and descriptions.

-- name: niches :count
-- scope: platform
-- Inserts missing niches and updates icons and descriptions that differ; a niche that was deactivated stays inactive.
INSERT INTO app.niches AS n (name, icon, description)
VALUES ('Fashion',       '👗', 'Clothing, accessories, styling and the brands behind them.'),
       ('Beauty',        '💄', 'Make-up, skin care, hair and fragrance.'),
       ('Food',          '🍽️', 'Recipes, restaurants, street food and drinks.'),
       ('Travel',        '✈️', 'Places, routes, hotels and life on the road.'),
       ('Fitness',       '🏋️', 'Training, sports, nutrition and recovery.'),
       ('Technology',    '💻', 'Gadgets, software, reviews and how things work.'),
       ('Gaming',        '🎮', 'Video games, streaming, esports and tabletop.'),
       ('Lifestyle',     '🌿', 'Everyday life, routines, minimalism and well-being.'),
       ('Parenting',     '🍼', 'Pregnancy, babies, school years and family life.'),
       ('Finance',       '💰', 'Saving, investing, careers and small business.'),
       ('Education',     '📚', 'Languages, science, study skills and explainers.'),
       ('Music',         '🎵', 'Songs, instruments, production and concerts.'),
       ('Film',          '🎬', 'Cinema, series, reviews and film making.'),
       ('Photography',   '📷', 'Cameras, editing, portraits and landscapes.'),
       ('Art',           '🎨', 'Drawing, painting, design and crafts.'),
       ('Home',          '🏡', 'Interiors, gardens, renovation and do-it-yourself.'),
       ('Automotive',    '🚗', 'Cars, motorbikes, electric mobility and racing.'),
       ('Health',        '🩺', 'Medicine explained, mental health and prevention.'),
       ('Pets',          '🐾', 'Dogs, cats and every other companion.'),
       ('Sports',        '⚽', 'Teams, matches, athletes and fan culture.'),
       ('Comedy',        '😂', 'Sketches, stand-up, parodies and memes.'),
       ('Business',      '📈', 'Marketing, start-ups, leadership and work.'),
       ('Sustainability', '♻️', 'Climate, circular economy and conscious buying.'),
       ('Books',         '📖', 'Reading, writing, reviews and libraries.')
    ON CONFLICT ON CONSTRAINT niches_name_key DO UPDATE
       SET icon = excluded.icon,
           description = excluded.description
     WHERE (n.icon, n.description) IS DISTINCT FROM (excluded.icon, excluded.description);
